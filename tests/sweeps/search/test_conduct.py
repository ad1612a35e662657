"""Searches as real runs: the mini backbone on generated clips."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

import petl_bench.sweeps.search
from petl_bench.errors import UserError
from petl_bench.plan import PlannedRun
from petl_bench.records import read_record
from petl_bench.results import ResultsTree
from petl_bench.sweeps.search.ledger import CAUSE, RUNS, is_lost
from petl_bench.sweeps.search.storage import open_journal, open_url
from petl_bench.sweeps.search.study import Searched, ledger_of, search
from tests.studies import IN_PROCESS
from tests.sweeps.search.searches import SMALL, SearchLog, conduct, states, target_of, told


def test_a_trial_is_ordinary_runs_and_its_value_their_mean_on_validation(tmp_path: Path) -> None:
    log = SearchLog()
    found = conduct(tmp_path, target_of(), log)
    assert states(found) == ["COMPLETE"] * 4
    assert len(log.started) == 8
    folders = ResultsTree(tmp_path).run_folders()
    assert len(folders) == 8
    by_rate: dict[float, list[float]] = {}
    for folder in folders.values():
        record = read_record(folder)
        assert record.spec.seed == 1000
        by_rate.setdefault(record.spec.training.optimizer.lr, []).append(
            record.train_info.metrics["validation"]["accuracy"]
        )
    for trial in found.trials:
        assert trial.value == pytest.approx(np.mean(by_rate[trial.params["lr"]]))
        assert [run["fold"] for run in trial.user_attrs[RUNS]] == [1, 2]


def test_a_search_that_is_complete_trains_nothing_more_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    first = conduct(tmp_path, target_of())
    log = SearchLog()
    assert [told(trial) for trial in conduct(tmp_path, target_of(), log).trials] == list(map(told, first.trials))
    assert log.started == []
    longer = conduct(tmp_path, target_of(trials=5), log)
    assert len(log.started) == 2
    assert list(map(told, longer.trials))[:4] == list(map(told, first.trials))


def test_of_more_trials_than_are_asked_for_the_first_count(tmp_path: Path) -> None:
    longer = conduct(tmp_path, target_of(trials=6))
    shorter = conduct(tmp_path, target_of(trials=3))
    assert list(map(told, shorter.trials)) == list(map(told, longer.trials))[:3]
    assert shorter.pooled
    assert shorter.pooled.number < 3


def test_a_journal_that_goes_away_ends_the_search_in_one_line_and_costs_no_run(tmp_path: Path) -> None:
    class Deleting(SearchLog):
        def trial_ended(self, number: int, finished: int, levels: dict[str, Any], outcome: str) -> None:
            (tmp_path / "a.journal").unlink()

    with pytest.raises(UserError, match="the trials cannot be read or written .* the same command goes on") as error:
        conduct(tmp_path, target_of(), Deleting())
    assert "\n" not in str(error.value)
    assert not (tmp_path / "a.journal.lock").exists()
    log = SearchLog()
    assert states(conduct(tmp_path, target_of(), log)) == ["COMPLETE"] * 4
    assert len(log.started) == 6


def test_another_space_or_objective_is_another_study() -> None:
    names = {
        target_of(**changes).study
        for changes in (
            {}, {"space": {"lr": {"low": 1e-3, "high": 2e-1, "log": True}}}, {"objective": "loss"}, {"seed": 1},
            {"tuning_seeds": [7]}, {"sampler": "tpe"}, {"pruner": "epoch:median"},
        )
    }  # fmt: skip
    assert len(names) == 7
    assert target_of(replace(SMALL, epochs=2)).study not in names
    assert target_of(trials=99).study in names


def test_an_interrupted_search_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = conduct(tmp_path / "whole", target_of())
    for after in (1, 2, 0, 3):
        with pytest.raises(KeyboardInterrupt):
            conduct(tmp_path / "stopped", target_of(), SearchLog(interrupt_after=after))
    stopped = conduct(tmp_path / "stopped", target_of())
    assert sorted(map(str, map(told, stopped.trials))) == sorted(map(str, map(told, whole.trials)))
    assert len(ResultsTree(tmp_path / "stopped").run_folders()) == 8
    assert sum(map(is_lost, stopped.study.get_trials())) == 4
    assert not list((tmp_path / "stopped" / ".claims").glob("*"))


def test_winners_are_chosen_by_fold_and_over_all(tmp_path: Path) -> None:
    found = conduct(tmp_path, target_of(trials=6, objective="loss"))
    by_fold = {
        fold: min(found.trials, key=lambda t: t.user_attrs[RUNS][fold - 1]["metrics"]["loss"]).number for fold in (1, 2)
    }
    assert {winner.fold: winner.number for winner in found.by_fold} == by_fold
    assert found.pooled
    assert found.pooled.number == min(found.trials, key=lambda trial: trial.value or 0).number
    assert found.pooled.score == found.study.best_value


def test_what_runs_make_of_test_clips_changes_no_proposal_and_no_winner(tmp_path: Path) -> None:
    """Test logits and metrics of every run on record are replaced by nonsense; the search goes on as before."""
    for name, spoilt in (("as-is", False), ("spoilt", True)):
        conduct(tmp_path / name, target_of(trials=12, sampler="tpe"))
        if spoilt:
            for folder in ResultsTree(tmp_path / name).run_folders().values():
                record = json.loads((folder / "run.json").read_text())
                record["train_info"]["metrics"]["test"] = dict.fromkeys(record["train_info"]["metrics"]["test"], 0.0)
                (folder / "run.json").write_text(json.dumps(record))
                with np.load(folder / "predictions.npz") as arrays:
                    kept = dict(arrays)
                kept["test_logits"] = -kept["test_logits"]
                np.savez(folder / "predictions.npz", **kept)
    one, other = (conduct(tmp_path / name, target_of(trials=14, sampler="tpe")) for name in ("as-is", "spoilt"))
    assert list(map(told, one.trials)) == list(map(told, other.trials))
    assert (one.by_fold, one.pooled) == (other.by_fold, other.pooled)


def test_the_search_reads_records_through_the_narrow_view_alone() -> None:
    folder = Path(petl_bench.sweeps.search.__file__).parent
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        outside = {"petl_bench.index", "petl_bench.records"} | {m for m in modules if "leaderboard" in m}
        if path.name != "validation.py":
            assert not modules & outside, f"{path.name} imports {modules & outside}"
        assert '"test"' not in path.read_text()
        assert "test_" not in path.read_text()


def test_two_objectives_are_accuracy_and_trained_parameters(tmp_path: Path) -> None:
    space = {"rank": {"choices": [1, 2, 4, 8]}}
    found = conduct(
        tmp_path, target_of(method="lora", trials=8, sampler="nsga2", population=4, space=space, only=["rank"])
    )
    ranks = {trial.params["rank"]: trial.values[1] for trial in found.trials}
    assert len(ranks) > 1
    assert sorted(ranks.values()) == [ranks[rank] for rank in sorted(ranks)]
    assert found.study.best_trials


def test_a_trial_that_fails_counts_and_says_why(tmp_path: Path) -> None:
    space = {"lr": {"choices": [1e-2, 1e3]}, "betas": {"choices": [[0.9, 0.98]]}}
    target = target_of(method="full", trials=2, space=space, sampler="grid", objective="loss")
    found = conduct(tmp_path, target)
    causes = [trial.user_attrs.get(CAUSE, "") for trial in found.trials]
    assert sorted(states(found)) == ["COMPLETE", "FAIL"]
    assert any("NotFiniteError" in cause for cause in causes)
    log = SearchLog()
    assert states(conduct(tmp_path, target, log)) == states(found)
    assert log.started == []


def test_failed_trials_are_tried_again_where_that_is_asked_for_and_others_are_not(tmp_path: Path) -> None:
    Path("once.py").write_text(
        "from pathlib import Path\n"
        "from petl_bench.methods.linear import Linear\n"
        "class Once(Linear):\n"
        "    def attach(self, backbone):\n"
        "        super().attach(backbone)\n"
        "        if not Path('mended').exists():\n"
        "            raise RuntimeError('not yet')\n"
    )
    target = target_of(method="once.py:Once", trials=2)
    assert states(conduct(tmp_path, target)) == ["FAIL", "FAIL"]
    Path("mended").touch()
    log = SearchLog()
    assert states(conduct(tmp_path, target, log)) == ["FAIL", "FAIL"]
    assert log.started == []
    again = conduct(tmp_path, target, log, retry_failed=True)
    assert states(again) == ["COMPLETE", "COMPLETE"]
    assert len(again.study.get_trials()) == 4
    assert len(conduct(tmp_path, target, log, retry_failed=True).study.get_trials()) == 4


def test_trials_in_a_database_keep_to_one_results_folder(tmp_path: Path) -> None:
    """Another folder has neither their claims nor their runs: they would be taken for lost."""
    url = f"sqlite:///{tmp_path}/trials.db"
    search(target_of(), open_url(url), ResultsTree(tmp_path / "one"), SearchLog(), IN_PROCESS)
    with pytest.raises(UserError, match="belong to another results folder than .*two: give that one with --results"):
        search(target_of(), open_url(url), ResultsTree(tmp_path / "two"), SearchLog(), IN_PROCESS)


def test_combinations_that_are_not_allowed_are_failed_trials(tmp_path: Path) -> None:
    space = {"norm": {"choices": ["layer", "batch"]}, "reduction_rate": {"choices": [16, 64]}}
    target = target_of(method="conformer", trials=4, space=space, sampler="grid", only=list(space))
    found = conduct(tmp_path, target)
    assert sorted(states(found)) == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    failed = next(trial for trial in found.trials if trial.state == TrialState.FAIL)
    assert failed.params["norm"] == "layer"
    assert "not allowed: conformer: norm = 'layer' over fewer than 3 channels" in failed.user_attrs[CAUSE]


def test_two_processes_conduct_one_search(tmp_path: Path) -> None:
    """Here: the second takes its turn while the first is in the middle of a trial."""
    inner: list[Searched] = []

    class Meddling(SearchLog):
        def run_started(self, run: PlannedRun) -> None:
            super().run_started(run)
            if len(self.started) == 2 and not inner:
                ledger = ledger_of(target_of(), open_journal(tmp_path / "a.journal"), ResultsTree(tmp_path))
                going = ledger.ask()
                assert going
                assert going.number == 1
                ledger.fail(going, "meddled")
                inner.append(going)  # type: ignore[arg-type]

    found = conduct(tmp_path, target_of(), Meddling())
    assert states(found) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]


def test_searches_of_one_name_in_two_storages_do_not_meet(tmp_path: Path) -> None:
    """As a card and its copy in one results folder have them."""
    tree, target = ResultsTree(tmp_path), target_of(trials=2)
    books = [ledger_of(target, open_journal(tmp_path / f"{name}.journal"), tree) for name in ("a", "b")]
    going = [book.ask() for book in books]
    assert [one.number for one in going if one] == [0, 0]
    reopened = ledger_of(target, open_journal(tmp_path / "a.journal"), tree)
    second = reopened.ask()
    assert second
    assert second.number == 1  # the first one's claim is known
