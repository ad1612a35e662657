"""Trackers: what they write is what the run recorded, and whatever happens to them happens to no run."""

from __future__ import annotations

import importlib.util
import json
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.registry import TRACKERS
from petl_bench.results import ResultsTree
from petl_bench.tracking import following
from petl_bench.tracking.base import Tracker
from petl_bench.tracking.following import Trackers
from petl_bench.upkeep import prune
from tests.studies import Command, Log, Study, computed

BLOCK, FULL, LAST = 32768, 1, 4
TWO_RUNS: dict[str, Any] = {"methods": ("linear",), "folds": (1, 2), "epochs": 2}
NO_WANDB = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="wandb is not installed: the extra wandb"
)


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """What two runs compute without a tracker."""
    base = tmp_path_factory.mktemp("untracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETL_BENCH_CACHE", str(base / "cache"))
        Study(base / "results").run(**TWO_RUNS)
    return computed(base / "results")


def tracked(*names: str) -> Execution:
    return Execution(executor="in_process", trackers=names)


def only_run(tree: ResultsTree) -> tuple[Any, list[dict[str, float]]]:
    (folder,) = tree.run_folders().values()
    lines = (folder / "epochs.jsonl").read_text().splitlines()
    return tree.records()[0][0], [json.loads(line) for line in lines]


def test_tensorboard_reads_back_what_was_recorded(study: Study) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    study.run(Log(), tracked("tensorboard"), epochs=3)
    record, epochs = only_run(study.tree)
    (events,) = (study.tree.root / "trackers" / "tensorboard").glob("*/*/*/events.*")
    read = accumulator.EventAccumulator(str(events.parent))
    read.Reload()
    for name, tag in (("train_loss", "train/loss"), ("validation_accuracy", "validation/accuracy"), ("lr", "lr")):
        curve = read.Scalars(tag)
        assert [point.step for point in curve] == [1, 2, 3]
        assert [point.value for point in curve] == pytest.approx([log[name] for log in epochs], rel=1e-6)
    (final,) = read.Scalars("final/test/accuracy")
    assert final.value == pytest.approx(record.train_info.metrics["test"]["accuracy"], rel=1e-6)
    spec = read.Tensors("spec/text_summary")[0].tensor_proto.string_val[0].decode()
    assert json.loads(spec.removeprefix("```json\n").removesuffix("\n```")) == record.spec.model_dump(mode="json")
    assert "_hparams_/session_start_info" in read.summary_metadata


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of an offline run: W&B's own messages, in the log format of LevelDB behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (room := BLOCK - at % BLOCK) < 7:  # no header fits into what is left of a block
            at += room
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (FULL, LAST):
            yield Record.FromString(whole)
            whole = b""


def values(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


@NO_WANDB
@pytest.mark.slow
def test_wandb_offline_holds_what_was_recorded(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    log = Log()
    study.run(log, tracked("wandb"), epochs=2)
    assert log.heard == []
    record, epochs = only_run(study.tree)
    (folder,) = (study.tree.root / "trackers" / "wandb" / "wandb").glob("offline-run-*")
    assert folder.name.endswith(record.run_info.run_key)
    (file,) = folder.glob("*.wandb")
    deadline = time.monotonic() + 30  # W&B's own process writes the file
    while not any(kept.HasField("exit") for kept in wandb_records(file)) and time.monotonic() < deadline:
        time.sleep(0.1)
    config, summary, history = dict[str, Any](), dict[str, Any](), []
    for kept in wandb_records(file):
        config |= values(kept.run.config.update)
        summary |= values(kept.summary.update)
        history += [values(kept.history.item)] if kept.HasField("history") else []
    assert config["seed"] == record.spec.seed
    assert config["training"] == record.spec.training.model_dump(mode="json")
    assert [line["train_loss"] for line in history] == [log["train_loss"] for log in epochs]
    assert [line["validation_accuracy"] for line in history] == [log["validation_accuracy"] for log in epochs]
    assert summary["test/accuracy"] == record.train_info.metrics["test"]["accuracy"]


class Failing(Tracker):
    """Raises where it is told to."""

    where = ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._at("opening")

    def run_started(self, run: object) -> None:
        self._at("start")

    def epoch(self, run: object, epoch: int, log: object) -> None:
        self._at("epoch")

    def run_ended(self, run: object, record: object, reason: str) -> None:
        self._at("end")

    def _at(self, what: str) -> None:
        if self.where == what:
            raise SystemExit("no")


@pytest.mark.parametrize("where", ["import", "opening", "start", "epoch", "end"])
def test_a_tracker_that_fails_is_one_warning_and_the_run_is_as_without_it(
    study: Study, untracked: dict[str, tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def load(name: str) -> object:
        if where == "import":
            raise UserError("fails on import")
        return type("Implementation", (), {"cls": type("Fails", (Failing,), {"where": where})})

    monkeypatch.setattr(TRACKERS, "load", load)
    log = Log()
    assert study.run(log, tracked("failing"), **TWO_RUNS).trained == 2
    (warning,) = log.heard
    assert warning.startswith("tracker failing fails and is left out (")
    assert warning.endswith("; runs go on without it")
    assert computed(study.tree.root) == untracked


class Writing(Tracker):
    """Writes into all that it is given, and turns gradients off."""

    def run_started(self, run: Any) -> None:
        torch.set_grad_enabled(False)
        run.settings.clear()

    def epoch(self, run: Any, epoch: int, log: dict[str, float]) -> None:
        for name in log:
            log[name] = -1.0

    def run_ended(self, run: Any, record: Any, reason: str) -> None:
        for part in record.train_info.metrics.values():
            part.clear()


def test_what_a_tracker_writes_into_what_it_is_given_changes_nothing(
    study: Study, untracked: dict[str, tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TRACKERS, "load", lambda name: type("Implementation", (), {"cls": Writing}))
    log = Log()
    assert study.run(log, tracked("writing"), **TWO_RUNS).trained == 2
    assert log.heard == []
    assert torch.is_grad_enabled()
    assert computed(study.tree.root) == untracked


@pytest.mark.parametrize("where", ["opening", "epoch", "end"])
def test_a_tracker_that_hangs_is_one_warning_and_holds_no_run_up(
    study: Study, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    released = threading.Event()

    class Hanging(Failing):
        def _at(self, what: str) -> None:
            if what == where:
                released.wait()

    monkeypatch.setattr(following, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(Trackers.close, "__defaults__", (0.1,))
    monkeypatch.setattr(TRACKERS, "load", lambda name: type("Implementation", (), {"cls": Hanging}))
    log = Log()
    assert study.run(log, tracked("hanging"), **TWO_RUNS).trained == 2
    (warning,) = log.heard
    assert warning.startswith("tracker hanging fails and is left out (it does not ")
    assert not released.is_set()
    released.set()


TOLD = """
import json
from petl_bench.tracking import following
from petl_bench.tracking.base import Tracker
from petl_bench.tracking.following import Trackers
class Told(Tracker):
    def __init__(self, folder):
        super().__init__(folder)
        self.file = (folder / "told").open("a")
    def tell(self, *what):
        print(json.dumps(what), file=self.file, flush=True)
    def run_started(self, run):
        self.tell("started")
    def epoch(self, run, epoch, log):
        self.tell("epoch", epoch)
    def run_ended(self, run, record, reason):
        self.tell("ended", record is not None, reason)
"""


def test_a_run_that_goes_on_is_begun_again_with_its_earlier_epochs(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace: dict[str, Any] = {}
    exec(TOLD, namespace)
    implementation = type("Implementation", (), {"cls": namespace["Told"]})
    monkeypatch.setattr(TRACKERS, "load", lambda name: implementation)

    class Interrupting(Log):
        def epoch(self, run: object, epoch: int, log: object) -> None:
            if epoch == 3 and not self.heard:
                raise KeyboardInterrupt

    execution = tracked("told").model_copy(update={"checkpoint_every": 1})
    with pytest.raises(KeyboardInterrupt):
        study.run(Interrupting(), execution, epochs=4)
    study.run(Log(), execution, epochs=4)
    told = [json.loads(line) for line in (study.tree.root / "trackers" / "told" / "told").read_text().splitlines()]
    first = [["started"], ["epoch", 1], ["epoch", 2], ["ended", False, "stopped"]]
    again = [["started"], *(["epoch", epoch] for epoch in range(1, 5)), ["ended", True, "trained"]]
    assert told == first + again


def test_readers_of_the_tree_pass_trackers_by(study: Study, command: Command) -> None:
    pytest.importorskip("tensorboard")
    study.run(Log(), tracked("tensorboard"))
    files = sorted((study.tree.root / "trackers").rglob("events.*"))
    assert study.tree.records()[1] == []
    assert len(study.tree.run_folders()) == 1
    prune(study.tree)
    assert sorted((study.tree.root / "trackers").rglob("events.*")) == files
    assert command("ls", "runs", "--results", str(study.tree.root))[0] == 0


def test_an_unknown_tracker_is_one_line(command: Command) -> None:
    code, _, err = command("run", "--methods", "linear", "--dataset", "synthetic", "--track", "tensorbord")
    assert code == 2
    assert err == (
        "petl-bench: --track tensorbord: unknown 'tensorbord' (did you mean 'tensorboard'?); known: tensorboard, wandb\n"
    )
