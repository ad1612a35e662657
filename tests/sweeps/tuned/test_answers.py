"""What a search is worth: the right runs under the right seeds, and differences that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from petl_bench.cards import SearchDimension
from petl_bench.index import read_runs
from petl_bench.records import read_predictions
from petl_bench.results import ResultsTree
from petl_bench.runner import run_plan
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.multiplicity import holm
from petl_bench.sweeps.search.space import Space
from petl_bench.sweeps.search.study import Searched
from petl_bench.sweeps.search.target import Target
from petl_bench.sweeps.search.winners import Winner
from petl_bench.sweeps.tuned.answers import BY_FOLD, DEFAULT, POOLED, between_methods, evaluation_of, outcomes
from petl_bench.sweeps.tuned.figures import importances_of
from petl_bench.sweeps.tuned.sentences import sentences
from tests.studies import IN_PROCESS, Log
from tests.sweeps.search.searches import SMALL, target_of


def searched(folds: tuple[int, ...] = (1, 2), method: str = "linear") -> Searched:
    """A search whose winners are given: a rate per fold, and that of the first for all."""
    target = target_of(replace(SMALL, seeds=(0, 1), folds=folds, limit=1), method=method)
    rates = dict(zip((1, 2), (0.05, 0.002), strict=True))
    by_fold = [Winner(fold, {"lr": rates[fold]}, fold, 0.5, 10) for fold in folds]
    return Searched(target, None, [], by_fold, Winner(1, {"lr": 0.05}, None, 0.5, 10))  # type: ignore[arg-type]


def replace_space(target: Target, dimensions: dict[str, Any]) -> Target:
    space = Space({name: SearchDimension.model_validate(dimension) for name, dimension in dimensions.items()})
    return replace(target, space=space)


def test_winners_are_tried_on_their_folds_under_seeds_that_no_trial_had() -> None:
    found = searched()
    evaluation = evaluation_of(found)
    assert {run.spec.seed for run in evaluation.runs} == {0, 1}
    assert not {run.spec.seed for run in evaluation.runs} & {*found.target.search.tuning_seeds}
    by_fold = {(run.spec.fold, run.spec.training.optimizer.lr) for run in evaluation.by_fold}
    assert by_fold == {(1, 0.05), (2, 0.002)}
    assert {(run.spec.fold, run.spec.training.optimizer.lr) for run in evaluation.pooled} == {(1, 0.05), (2, 0.05)}
    assert len(evaluation.runs) == 4 + 4 + 2  # on fold 1 both winners are one


def test_differences_are_those_of_the_records(tmp_path: Path) -> None:
    """Folds are of one size: a configuration's score is the mean over its runs, on test and on validation."""
    found, tree = searched(), ResultsTree(tmp_path)
    evaluation = evaluation_of(found)
    assert found.target.workbench
    run_plan(tuple(evaluation.runs), found.target.workbench, tree, Log(), IN_PROCESS)
    indexed = {run.record.run_info.run_key: run for run in read_runs(tree)[0]}
    folders = tree.run_folders()
    outcome = outcomes([(found, evaluation)], indexed, folders)[0]
    plans = {DEFAULT: evaluation.default, BY_FOLD: evaluation.by_fold, POOLED: evaluation.pooled}
    for part, scores in (("test", outcome.test), ("validation", outcome.validation)):
        for name, plan in plans.items():
            metrics = [indexed[run.key].record.train_info.metrics[part]["accuracy"] for run in plan]  # type: ignore[index]
            assert scores[name].seed_means.mean() == pytest.approx(np.mean(metrics)), (part, name)
    for versus, name, scores in (
        (outcome.by_fold, BY_FOLD, outcome.test),
        (outcome.pooled, POOLED, outcome.test),
        (outcome.on_validation, POOLED, outcome.validation),
    ):
        assert isinstance(versus.estimate, Estimate)
        expected = scores[name].seed_means.mean() - scores[DEFAULT].seed_means.mean()
        assert versus.estimate.value == pytest.approx(expected)
        assert versus.holm_p == versus.estimate.p_value
    ids = read_predictions(next(iter(folders.values()))).validation_ids
    assert any(name.endswith(str(ids[0])) for name in outcome.validation[DEFAULT].clip_ids)
    lines = sentences(outcome)
    assert lines[0].startswith(
        "On test, with new seeds, one winner per fold, each chosen on that fold's validation alone"
    )
    assert "whose choice rests on the validation clips of all these folds" in lines[1]
    assert lines[2].startswith("On validation, with new seeds")


def test_of_several_methods_p_is_adjusted_and_all_pairs_are_compared(tmp_path: Path) -> None:
    tree, every = ResultsTree(tmp_path), []
    for method in ("linear", "layernorm", "bitfit"):
        found = searched(method=method)
        evaluation = evaluation_of(found)
        assert found.target.workbench
        run_plan(tuple(evaluation.runs), found.target.workbench, tree, Log(), IN_PROCESS)
        every.append((found, evaluation))
    indexed = {run.record.run_info.run_key: run for run in read_runs(tree)[0]}
    said = outcomes(every, indexed, tree.run_folders())
    raw = [outcome.by_fold.estimate.p_value for outcome in said]  # type: ignore[union-attr]
    assert [outcome.by_fold.holm_p for outcome in said] == holm(raw)
    pairs = between_methods(said)
    assert [pair.what for pair in pairs] == ["linear - layernorm", "linear - bitfit", "layernorm - bitfit"]
    scores = {outcome.searched.target.method: outcome.test[BY_FOLD].seed_means.mean() for outcome in said}
    assert pairs[1].estimate.value == pytest.approx(scores["linear"] - scores["bitfit"])  # type: ignore[union-attr]


def test_without_outer_folds_the_one_winner_has_not_seen_the_test_clips() -> None:
    found = searched(folds=(1,))
    outcome = outcomes([(found, evaluation_of(found))], {}, {})[0]
    lines = sentences(outcome)
    assert lines[0] == "On test, with new seeds, the winner: no comparison (no complete trial)."
    assert not any("has seen every clip" in line for line in lines)


@pytest.mark.parametrize("objective", ["accuracy", "loss"])
def test_importances_of_two_objectives_are_for_being_good(objective: str) -> None:
    """Of two dimensions one alone makes trials good, the other alone makes them bad."""
    space = {name: {"choices": [0, 1, 2, 3]} for name in ("rank", "alpha")}
    target = replace_space(target_of(method="lora", sampler="nsga2", objective=objective), space)
    study = optuna.create_study(directions=["minimize" if objective == "loss" else "maximize", "minimize"])
    chance = np.random.default_rng(0)
    for _ in range(80):
        makes_good, makes_bad = chance.integers(0, 4, 2)
        value = 0.5 + 0.4 * (makes_good == 0) - 0.3 * (makes_bad == 0 and makes_good != 0) + chance.normal(0, 0.01)
        study.add_trial(
            optuna.trial.create_trial(
                params={"rank": int(makes_good), "alpha": int(makes_bad)}, distributions=target.space.distributions,
                values=[-value if objective == "loss" else value, 1.0],
            )
        )  # fmt: skip
    found = importances_of(Searched(target, study, study.get_trials()))
    assert found["rank"] > found["alpha"]
