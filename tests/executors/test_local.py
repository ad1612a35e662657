"""Worker processes: runs as in this process, interrupted and gone on with, and mistakes that end a study in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.executors.opening import open_executor
from petl_bench.plan import PlannedRun
from petl_bench.work import Task
from tests.executors.watching import LOCAL, Acting, living_workers, undisturbed
from tests.studies import TINY, Log, Study, computed, plan_of


def test_workers_compute_what_this_process_does_and_stop_when_done(study: Study, tmp_path: Path) -> None:
    changes = {"methods": ("lora", "conformer"), "folds": (1, 2), "epochs": 2, "limit": 1}
    outcome = study.run(log := Log(), LOCAL.model_copy(update={"jobs": 2}), **changes)
    assert (outcome.trained, outcome.failed) == (4, [])
    assert len(log.started) == 4
    assert computed(study.tree.root) == undisturbed(tmp_path / "expected", **changes)
    threads = [record.meta_info.system_info["threads"] for record in study.tree.records()[0]]
    assert threads == [1] * 4
    assert living_workers() == set()
    assert [*study.tree.root.glob(".claims/*"), *study.tree.root.glob(".unfinished/*")] == []


def test_an_interrupt_stops_the_workers_and_leaves_the_rest_to_the_same_call(study: Study, tmp_path: Path) -> None:
    def act(run: PlannedRun, epoch: int) -> None:
        if run.method == "linear" and epoch == 2:
            raise KeyboardInterrupt

    changes = {"methods": ("lora", "linear"), "epochs": 4, "limit": 1}
    with pytest.raises(KeyboardInterrupt):
        study.run(Acting(act), LOCAL, **changes)
    assert living_workers() == set()
    assert len(study.tree.run_folders()) == 1
    assert [*study.tree.root.glob(".claims/*"), *study.tree.root.glob(".unfinished/*")] == []
    outcome = study.run(log := Log(), LOCAL, **changes)
    assert (outcome.trained, outcome.skipped) == (1, 1)
    assert [remark for remark in log.remarks if remark.startswith("goes on after epoch")]
    assert computed(study.tree.root) == undisturbed(tmp_path / "expected", **changes)


@pytest.mark.exhaustive
def test_a_backbone_that_cannot_be_loaded_stops_the_study_in_one_line(study: Study, tmp_path: Path) -> None:
    from transformers import ASTConfig, ASTModel

    config = ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    ASTModel(config).save_pretrained(tmp_path / "model")
    content = (tmp_path / "model" / "model.safetensors").read_bytes()
    (tmp_path / "model" / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(UserError, match="the weights cannot be loaded"):
        study.run(Log(), LOCAL, backbone=str(tmp_path / "model"))
    assert not (study.tree.root / "failed").exists()


def test_a_worker_that_cannot_start_is_one_line(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("broken").mkdir()
    Path("broken/torch.py").write_text("raise SystemExit('no torch to be had')")
    monkeypatch.syspath_prepend(str(Path("broken").resolve()))
    with pytest.raises(UserError, match="no worker can be started: with exit code 1: no torch to be had"):
        study.run(Log(), LOCAL)


def test_in_process_there_is_one_place(study: Study) -> None:
    with pytest.raises(UserError, match="in_process trains one run at a time"):
        study.run(Log(), Execution(executor="in_process", jobs=2))


def test_data_that_change_under_a_study_stop_it(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers open the data anew: what they find must be what was planned with."""
    import tests.studies as studies

    def planned(*arguments: object, **options: object) -> object:
        plan, workbench = plan_of(*arguments, **options)  # type: ignore[arg-type]
        spec = plan[0].spec.model_copy(update={"data": plan[0].spec.data.model_copy(update={"fingerprint": "other"})})
        return (replace(plan[0], spec=spec),), workbench

    plan_of = studies.plan_of
    monkeypatch.setattr(studies, "plan_of", planned)
    with pytest.raises(UserError, match="the data set or the backbone changed"):
        study.run(Log(), LOCAL)
    assert not (study.tree.root / "failed").exists()


ODD = """
import os
from petl_bench.methods.linear import Linear
class Input(Linear):
    def attach(self, backbone):
        input()
class Number(Linear):
    def attach(self, backbone):
        super().attach(backbone)
        assert os.read(0, 1) == b""
class Elsewhere(Linear):
    def attach(self, backbone):
        super().attach(backbone)
        os.makedirs("elsewhere", exist_ok=True)
        os.chdir("elsewhere")
class Name(Linear):
    def attach(self, backbone):
        raise ValueError("no file b\\udcffd")
class Mute(Linear):
    def attach(self, backbone):
        class Silent(Exception):
            def __str__(self):
                raise RuntimeError
        raise Silent
class Long(Linear):
    def attach(self, backbone):
        raise ValueError("\\nx" * 1_000_000)
"""


def test_what_a_method_does_to_its_process_is_its_own_affair() -> None:
    """It reads the input, goes to another folder, has errors that cannot be said: others are trained all the same."""
    Path("odd.py").write_text(ODD)
    study, log = Study(Path("results")), Log()  # a relative path
    names = ("Input", "Number", "Elsewhere", "Name", "Mute", "Long")
    outcome = study.run(log, LOCAL, methods=(*(f"odd.py:{name}" for name in names), "linear"))
    assert outcome.trained == 3
    assert [text[:30] for text in log.failed] == [
        "EOFError: EOF when reading a l", "ValueError: no file b\\udcffd", "Silent: (no message: RuntimeEr",
        "ValueError: x x x x x x x x x ",
    ]  # fmt: skip
    assert all(len(text) <= 300 for text in log.failed)
    failures = [json.loads(path.read_text()) for path in (study.tree.root / "failed").glob("*.json")]
    (traceback,) = (failure["traceback"] for failure in failures if failure["title"].startswith("Name "))
    assert "in attach" in traceback
    assert not list(study.tree.claims.folder.glob("*"))
    assert not list(Path("elsewhere").glob("*"))


class Ready(list[Task]):
    """Tasks that can be started now; there may be none, and more later."""

    def __iter__(self) -> Iterator[Task]:
        return self  # type: ignore[return-value]

    def __next__(self) -> Task:
        if not self:
            raise StopIteration
        return self.pop(0)


def test_a_worker_that_found_nothing_to_do_is_asked_again_when_a_run_has_ended(study: Study) -> None:
    """A search runs dry where the runs that it needs are others', and then has several."""
    plan, workbench = plan_of(replace(TINY, seeds=(0, 1, 2)))
    study.tree.prepare()
    ready, left = Ready([Task(run=plan[0])]), []
    executor = open_executor(workbench, study.tree, LOCAL.model_copy(update={"jobs": 2}), Log())
    try:
        for _ in executor.execute(ready):
            left.append(len(ready))
            if len(left) == 1:
                ready += [Task(run=run) for run in plan[1:]]
    finally:
        executor.close()
    assert left == [0, 0, 0], "the second and the third run were not under way together"
