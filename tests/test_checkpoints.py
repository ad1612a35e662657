"""Checkpoints: what is read is what was written, or nothing; a run that was stopped ends as one that was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_bench.checkpoints import Checkpoint, read_state, write_state
from petl_bench.execution import Execution
from petl_bench.plan import PlannedRun
from petl_bench.records import FinishedRun
from petl_bench.training.run import train_run
from tests.studies import TINY, Log, Study, plan_of

TENSORS = {
    "weights": torch.arange(12.0).reshape(3, 4),
    "empty": torch.zeros(0, 3),
    "step": torch.tensor(7.0),
    "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
    "counts": torch.tensor([1, -2]),
    "mask": torch.tensor([True, False]),
}
FACTS = {"epoch": 3, "lr": [0.1 + 0.2], "logs": [{"train_loss": 0.1, "loss": 1e-300}], "note": "é"}


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    write_state(tmp_path / "state", TENSORS, FACTS)
    tensors, facts = read_state(tmp_path / "state")
    assert facts == FACTS
    assert [list(facts), list(facts["logs"][0])] == [list(FACTS), ["train_loss", "loss"]]
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        torch.testing.assert_close(tensors[name], tensor, rtol=0, atol=0, equal_nan=True)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_parts_of_one_tensor_are_kept_as_their_own(tmp_path: Path) -> None:
    whole = torch.arange(10.0)
    write_state(tmp_path / "state", {"left": whole[:5], "right": whole[3:], "turned": whole.reshape(2, 5).T}, {})
    tensors, _ = read_state(tmp_path / "state")
    assert torch.equal(tensors["right"], whole[3:])
    assert torch.equal(tensors["turned"], whole.reshape(2, 5).T)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("state") / "state"
    write_state(path, TENSORS, FACTS)
    return path.read_bytes()


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0), flip=st.integers(1, 255))
def test_no_changed_byte_goes_unseen(
    written: bytes, tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    changed = bytearray(written)
    changed[place % len(written)] ^= flip
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(changed)
    try:
        tensors, facts = read_state(path)
    except ValueError:
        return
    assert facts == FACTS  # padding of the header
    assert all(
        tensors[name].numpy(force=True).tobytes() == TENSORS[name].numpy().tobytes() for name in ("weights", "step")
    )


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80\x04.", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_file_of_something_else_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        read_state(tmp_path / "state")
    assert Checkpoint(tmp_path / "state", "key").load() is None


def test_a_checkpoint_is_one_run_s(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "state", "one")
    kept.save(TENSORS, FACTS)
    assert kept.load() is not None
    assert Checkpoint(tmp_path / "state", "other").load() is None
    kept.discard()
    kept.discard()
    assert kept.load() is None


def test_checkpoints_are_due_every_so_many_epochs_or_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = Checkpoint(tmp_path / "state", "key", every=3)
    assert [epoch for epoch in range(1, 10) if every.is_due(epoch)] == [3, 6, 9]
    now = [0.0]
    monkeypatch.setattr("petl_bench.checkpoints.time.monotonic", lambda: now[0])
    by_time = Checkpoint(tmp_path / "state", "key")
    due = []
    for epoch in range(1, 9):
        now[0] += 25
        if by_time.is_due(epoch):
            due.append(epoch)
            by_time.save({}, {})
    assert due == [3, 6]


class StoppedError(Exception):
    """Stands for the end of a process after an epoch's checkpoint."""


class StopAfter:
    """A listener that ends the run while ``epoch`` is reported, before that epoch's checkpoint is written."""

    def __init__(self, epoch: int) -> None:
        self.last = epoch
        self.remarks: list[str] = []

    def epoch(self, epoch: int, log: dict[str, float]) -> None:
        if epoch == self.last:
            raise StoppedError

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def stopped_and_resumed(path: Path, stops: list[int], **changes: object) -> tuple[FinishedRun, list[str]]:
    """A run with a checkpoint after every epoch, ended while each of ``stops`` is reported, in fresh workbenches."""
    remarks: list[str] = []
    for stop in [*stops, 0]:
        plan, workbench = plan_of(replace(TINY, **changes))  # type: ignore[arg-type]
        listener = StopAfter(stop)
        checkpoint = Checkpoint(path, plan[0].key, every=1)
        if stop:
            with pytest.raises(StoppedError):
                train_run(plan[0], workbench, listener, checkpoint=checkpoint)
        else:
            run = train_run(plan[0], workbench, listener, checkpoint=checkpoint)
        remarks += listener.remarks
    return run, remarks


def undisturbed(**changes: object) -> FinishedRun:
    plan, workbench = plan_of(replace(TINY, **changes))  # type: ignore[arg-type]
    return train_run(plan[0], workbench)


def outcome(run: FinishedRun) -> tuple[object, ...]:
    """All that a run computes, to compare bit by bit."""
    epochs = [{key: value for key, value in epoch.items() if key != "train_time"} for epoch in run.epochs]
    arrays = [array.tobytes() for array in vars(run.predictions).values()]
    info = run.record.train_info
    return epochs, arrays, info.metrics, info.best_epoch, info.tested_epoch


ALSO = [pytest.param(name, marks=pytest.mark.exhaustive) for name in ("lora", "prefix", "prompt_deep", "bitfit")]


@pytest.mark.parametrize("method", ["linear", "full", "conformer", *ALSO])
def test_a_stopped_run_ends_bit_equal_to_one_that_was_not(tmp_path: Path, method: str) -> None:
    changes = {"methods": (method,), "epochs": 4, "limit": 1, "batch_size": 20}
    changes["settings"] = ("synthetic.augment.time_mask=40",)
    run, remarks = stopped_and_resumed(tmp_path / "state", [2, 3, 4], **changes)
    assert remarks == [f"goes on after epoch {epoch}" for epoch in (1, 2, 3)]
    assert outcome(run) == outcome(undisturbed(**changes))
    earlier = run.record.meta_info.system_info["resumed"]
    assert [stop["epochs"] for stop in earlier] == [1, 2, 3]
    assert earlier[0]["device"] == "cpu"


DROPOUT = """
import torch
from petl_bench.methods.bottleneck import Bottleneck
class Dropped(Bottleneck):
    def build(self, geometry):
        return torch.nn.Sequential(super().build(geometry), torch.nn.Dropout(0.3))
"""


def test_dropout_goes_on_where_it_was(tmp_path: Path) -> None:
    Path("dropped.py").write_text(DROPOUT)
    changes = {"methods": ("dropped.py",), "epochs": 4, "limit": 1}
    run, _ = stopped_and_resumed(tmp_path / "state", [3], **changes)
    assert outcome(run) == outcome(undisturbed(**changes))


def test_the_best_epoch_may_lie_before_the_stop(tmp_path: Path) -> None:
    changes = {"methods": ("linear",), "epochs": 6, "limit": 4, "lr": 3.0, "backbone": "mini_random"}
    whole = undisturbed(**changes)
    best = whole.record.train_info.best_epoch
    assert best < 6
    run, _ = stopped_and_resumed(tmp_path / "state", [best + 1, 6], **changes)
    assert outcome(run) == outcome(whole)


def test_a_resumed_run_counts_the_time_before_the_stop(tmp_path: Path) -> None:
    plan, workbench = plan_of(replace(TINY, epochs=2))
    checkpoint = Checkpoint(tmp_path / "state", plan[0].key, every=1)
    with pytest.raises(StoppedError):
        train_run(plan[0], workbench, StopAfter(2), checkpoint=checkpoint)
    tensors, facts = read_state(tmp_path / "state")
    write_state(tmp_path / "state", tensors, {**facts, "seconds": 1000.0})
    assert train_run(plan[0], workbench, checkpoint=checkpoint).record.run_info.total_time > 1000


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def of_another_method(path: Path) -> None:
    tensors, facts = read_state(path)
    write_state(path, {name.replace("lora", "lorra"): tensor for name, tensor in tensors.items()}, facts)


@pytest.mark.parametrize("spoil", [damage, of_another_method])
def test_a_checkpoint_that_does_not_fit_is_not_taken_up(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    changes = {"methods": ("lora",), "epochs": 2}
    plan, workbench = plan_of(replace(TINY, **changes))  # type: ignore[arg-type]
    checkpoint = Checkpoint(tmp_path / "state", plan[0].key, every=1)
    with pytest.raises(StoppedError):
        train_run(plan[0], workbench, StopAfter(2), checkpoint=checkpoint)
    spoil(tmp_path / "state")
    run = train_run(plan[0], workbench, checkpoint=checkpoint)
    assert outcome(run) == outcome(undisturbed(**changes))
    assert "resumed" not in run.record.meta_info.system_info


def test_a_checkpoint_that_cannot_be_written_stops_no_run(tmp_path: Path) -> None:
    plan, workbench = plan_of(replace(TINY, epochs=2))
    (tmp_path / "file").touch()
    listener = StopAfter(0)
    checkpoint = Checkpoint(tmp_path / "file" / "state", plan[0].key, every=1)
    train_run(plan[0], workbench, listener, checkpoint=checkpoint)
    (remark,) = listener.remarks
    assert "no checkpoint: " in remark
    assert "cannot be written to" in remark


def test_a_finished_run_leaves_no_checkpoint(study: Study) -> None:
    class Seen(Log):
        found: list[str] = []

        def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
            self.found += [path.stem for path in study.tree.root.glob(".checkpoints/*")]

    study.run(seen := Seen(), Execution(executor="in_process", checkpoint_every=1), epochs=2)
    (folder,) = study.tree.run_folders().values()
    assert seen.found == [folder.name]
    assert not list(study.tree.root.glob(".checkpoints/*"))
