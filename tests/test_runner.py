"""Many runs: nothing twice, nothing lost, nothing stopped by a neighbour."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from petl_bench.claims import Claim, Owner
from petl_bench.errors import UserError
from petl_bench.records import read_record
from petl_bench.training.run import train_run
from tests.studies import TINY, Log, Study, plan_of, train

BROKEN = """
from petl_bench import Method

class Broken(Method):
    def attach(self, backbone):
        raise RuntimeError("this method cannot be attached")
"""


@pytest.fixture
def broken(tmp_path: Path) -> str:
    (tmp_path / "broken.py").write_text(BROKEN)
    return f"{tmp_path / 'broken.py'}:Broken"


def test_what_is_on_record_is_not_trained_again(study: Study) -> None:
    assert study.run(folds=(1, 2)).trained == 2
    log = Log()
    outcome = study.run(log, folds=(1, 2, 3))
    assert (outcome.trained, outcome.skipped) == (1, 2)
    assert log.begun == (1, 2, 0)


def test_force_replaces_a_record(study: Study) -> None:
    study.run()
    (folder,) = study.tree.run_folders().values()
    before = (folder / "run.json").stat().st_ino
    assert study.run(force=True).trained == 1
    assert list(study.tree.run_folders().values()) == [folder]
    assert (folder / "run.json").stat().st_ino != before


def test_a_record_that_another_process_made_again_meanwhile_is_not_made_once_more(study: Study) -> None:
    """Two start with --force at the same time: a run is trained again once."""
    study.run()
    log = Log()
    log.on_begin = lambda: study.run(force=True)
    outcome = study.run(log, force=True)
    assert (outcome.trained, outcome.skipped) == (0, 1)


def test_one_failing_run_stops_no_other(study: Study, broken: str) -> None:
    log = Log()
    outcome = study.run(log, methods=(broken, "linear"), folds=(1, 2))
    assert outcome.trained == 2
    assert [reason for _, reason in outcome.failed] == ["RuntimeError: this method cannot be attached"] * 2
    assert len(log.failed) == 2
    (first, *_) = (study.tree.root / "failed").glob("*.json")
    assert "raise RuntimeError" in json.loads(first.read_text())["traceback"]


def test_a_failure_is_not_done_and_is_tried_again_on_request(study: Study, broken: str) -> None:
    study.run(methods=(broken,))
    again = study.run(methods=(broken,))
    assert again.trained == again.skipped == 0
    assert again.failed[0][1] == "failed before: RuntimeError: this method cannot be attached"
    study.run(methods=(broken,), retry_failed=True)
    assert sorted(path.name.split(".")[1] for path in (study.tree.root / "failed").iterdir()) == ["1", "2"]
    assert study.tree.run_folders() == {}


def test_an_interrupt_leaves_a_tree_that_the_same_call_completes(study: Study) -> None:
    with pytest.raises(KeyboardInterrupt):
        study.run(Log(interrupt_after=1), folds=(1, 2, 3))
    assert len(study.tree.run_folders()) == 1
    assert study.run(folds=(1, 2, 3)).trained == 2
    assert list((study.tree.root / ".unfinished").iterdir()) == []


def test_what_another_process_files_meanwhile_is_not_trained_again(study: Study) -> None:
    """The second of two runs appears in the tree while the first is trained."""
    other = Study(study.tree.root.with_name("other"))
    other.run(folds=(2,))
    log = Log()
    log.on_start = lambda: shutil.copytree(other.tree.root, study.tree.root, dirs_exist_ok=True)
    outcome = study.run(log, folds=(1, 2))
    assert (outcome.trained, outcome.skipped) == (1, 1)
    assert log.skipped == ["linear on synthetic, fold 2, seed 0"]


def held_elsewhere(study: Study, **changes: object) -> Claim:
    """The claim of another process to the first run of a request."""
    plan, _ = plan_of(replace(TINY, **changes))  # type: ignore[arg-type]
    claim = study.tree.claims.take(plan[0].key)
    assert isinstance(claim, Claim)
    return claim


def test_a_run_that_another_process_holds_is_left_for_last_and_done_when_it_lets_go(study: Study) -> None:
    claim = held_elsewhere(study, folds=(1, 2))
    log = Log()
    log.on_wait = claim.release
    outcome = study.run(log, folds=(1, 2))
    assert outcome.trained == 2
    assert [title for title, _ in log.done] == [f"linear on synthetic, fold {fold}, seed 0" for fold in (2, 1)]
    assert log.waited == [("linear on synthetic, fold 1, seed 0", str(Owner.this()))]


def test_a_run_that_another_process_ends_is_its_own(study: Study) -> None:
    other = Study(study.tree.root.with_name("other"))
    other.run()
    claim = held_elsewhere(study)
    log = Log()

    def end() -> None:
        shutil.copytree(other.tree.root, study.tree.root, dirs_exist_ok=True)
        claim.release()

    log.on_wait = end
    outcome = study.run(log)
    assert (outcome.trained, outcome.skipped, log.skipped) == (0, 1, ["linear on synthetic, fold 1, seed 0"])


def test_a_run_that_fails_in_another_process_is_not_tried_here(study: Study, broken: str) -> None:
    """Unless it failed before both began: --retry-failed means once more, not once for every process."""
    study.run(methods=(broken,))
    claim = held_elsewhere(study, methods=(broken,))
    log = Log()

    def fail() -> None:
        claim.release()
        study.run(methods=(broken,), retry_failed=True)

    log.on_wait = fail
    outcome = study.run(log, methods=(broken,), retry_failed=True)
    assert log.failed == ["failed in another process: RuntimeError: this method cannot be attached"]
    assert len(outcome.failed) == 1
    assert study.tree.failure_count(next(iter(study.tree.failures()))) == 2


def test_a_method_file_that_changed_after_planning_is_not_trained(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from petl_bench.methods.linear import Linear\nclass Mine(Linear): ...\n")
    plan, workbench = plan_of(replace(TINY, methods=(f"{path}:Mine",)))
    path.write_text("from petl_bench.methods.full import Full\nclass Mine(Full): ...\n")
    with pytest.raises(RuntimeError, match="changed after this run was planned"):
        train_run(plan[0], workbench)


def test_a_record_of_a_newer_version_is_neither_done_nor_replaced(study: Study) -> None:
    study.run()
    (folder,) = study.tree.run_folders().values()
    record = folder / "run.json"
    record.write_text(record.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    before = record.read_text()
    with pytest.raises(UserError, match="schema_version 2 is newer"):
        study.run()
    assert record.read_text() == before


def test_two_names_for_one_experiment_are_one_run(study: Study, tmp_path: Path) -> None:
    card = tmp_path / "probe.toml"
    card.write_text('implementation = "linear"\ntitle = "x"\n[optimizer]\nlr = 1e-3\n')
    outcome = study.run(methods=("linear", str(card)))
    assert outcome.trained == 1
    (folder,) = study.tree.run_folders().values()
    assert read_record(folder).run_info.run_key == folder.name


VANDAL = """
from petl_bench import Method
class Vandal(Method):
    def attach(self, backbone):
        self.train_norm(backbone, "norm_final")
        backbone.module_at("fc2", 0).weight.data.zero_()
"""


def test_a_method_that_leaves_the_backbone_changed_fails_and_spoils_no_other_run(study: Study) -> None:
    Path("vandal.py").write_text(VANDAL)
    log = Log()
    outcome = study.run(log, methods=("vandal.py", "linear"))
    assert [run.method for run, _ in outcome.failed] == ["Vandal"]
    assert "the backbone is not as before (model.layers.0.mlp.fc2); see petl-bench check" in log.failed[0]
    after = study.tree.records()[0][0]
    alone = train(methods=("linear",)).record
    assert after.run_info.run_key == alone.run_info.run_key
    assert after.train_info.metrics == alone.train_info.metrics


def test_a_method_that_ends_the_process_fails_alone(study: Study) -> None:
    text = "import sys\nfrom petl_bench import Method\nclass Leaver(Method):\n    def attach(self, backbone):\n        sys.exit(0)\n"
    Path("leaver.py").write_text(text)
    outcome = study.run(methods=("leaver.py", "linear"))
    assert (outcome.trained, len(outcome.failed)) == (1, 1)
    assert "sys.exit(0)" in outcome.failed[0][1]
