"""Searches that stop trials early, by epoch and by fold: as real runs on generated clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from optuna.trial import TrialState

from petl_bench.execution import Execution
from petl_bench.records import read_record
from petl_bench.results import ResultsTree
from petl_bench.sweeps.grid import Options
from petl_bench.sweeps.search.ledger import RUNS
from petl_bench.sweeps.search.samplers import grid_of
from petl_bench.sweeps.search.target import Target
from tests.sweeps.search.searches import SMALL, SearchLog, conduct, states, target_of


def good_ones_first(options: Options) -> Target:
    """A search with a pruner over learning rates, the last two of which are far too low."""
    space = {"lr": {"choices": [0.02, 0.021, 0.022, 0.023, 0.024, 1e-7, 1.1e-7]}}
    for seed in range(1000):
        target = target_of(options, trials=7, pruner="epoch:median", space=space, sampler="grid", seed=seed)
        if all(values["lr"] < 1e-3 for values in grid_of(target.search, target.study, target.space)[-2:]):
            return target
    raise AssertionError("no such order")


def test_epochs_are_pruned_and_a_pruned_run_is_never_done(tmp_path: Path) -> None:
    log = SearchLog()
    options = replace(SMALL, epochs=4)
    found = conduct(tmp_path, good_ones_first(options), log)
    pruned = [trial for trial in found.trials if trial.state == TrialState.PRUNED]
    assert pruned
    assert log.epochs < 7 * 2 * 4
    runs = {read_record(folder).spec.training.optimizer.lr for folder in ResultsTree(tmp_path).run_folders().values()}
    for trial in pruned:
        assert trial.params["lr"] not in runs or len(trial.user_attrs[RUNS]) == 1
        assert trial.intermediate_values
    assert not list((tmp_path / ".checkpoints").glob("*"))
    for trial in found.trials:
        steps = sorted(trial.intermediate_values)
        assert steps == list(range(1, len(steps) + 1))
        values = [trial.intermediate_values[step] for step in steps]
        assert values == sorted(values)
    assert all(winner.number not in [trial.number for trial in pruned] for winner in found.by_fold)


def test_a_pruned_search_is_the_same_in_a_worker_process(tmp_path: Path) -> None:
    options = replace(SMALL, epochs=3)
    target = good_ones_first(options)
    here = conduct(tmp_path / "here", target)
    there = conduct(tmp_path / "there", target, execution=Execution(executor="local", threads=1))
    assert states(here) == states(there)
    assert [trial.intermediate_values.keys() for trial in here.trials] == [
        trial.intermediate_values.keys() for trial in there.trials
    ]
    assert not list((tmp_path / "there" / ".checkpoints").glob("*"))


def test_folds_are_pruned_by_wilcoxon(tmp_path: Path) -> None:
    options = replace(SMALL, folds=(1, 2, 3, 4, 5), epochs=2)
    space = {"lr": {"choices": [1e-2, 1e-8, 1.1e-8, 1.2e-8]}}
    log = SearchLog()
    found = conduct(
        tmp_path, target_of(options, pruner="fold:wilcoxon", objective="loss", space=space, sampler="grid"), log
    )
    for trial in found.trials:
        assert sorted(trial.intermediate_values) == list(range(len(trial.user_attrs[RUNS])))
        if trial.state == TrialState.PRUNED:
            assert 3 <= len(trial.user_attrs[RUNS]) < 5
    assert "PRUNED" in states(found)
