"""Step axes and pruners: what they see, and what they can and cannot do."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from petl_bench.errors import UserError
from petl_bench.sweeps.card import Search
from petl_bench.sweeps.search.pruning import WILCOXON_THRESHOLD, Axis, axis_of, make_pruner

ACCURACY = Axis(by_epoch=True, runs=3, epochs=4, worst=0.0, sign=1)
LOSS = Axis(by_epoch=True, runs=3, epochs=4, worst=math.log(10), sign=-1)


def test_the_value_of_a_step_is_the_mean_if_nothing_more_is_learnt() -> None:
    assert ACCURACY.value([], [0.3]) == pytest.approx(0.1)
    assert ACCURACY.value([], [0.3, 0.6, 0.5]) == pytest.approx(0.2)
    assert ACCURACY.value([0.6, 0.9], [0.3]) == pytest.approx(0.6)
    assert LOSS.value([0.5], [5.0]) == pytest.approx((0.5 + 2 * math.log(10)) / 3)
    assert LOSS.value([0.5], [5.0, 1.0, 2.0]) == pytest.approx((0.5 + 1.0 + math.log(10)) / 3)
    assert [ACCURACY.step(run, epoch) for run in range(3) for epoch in range(1, 5)] == list(range(1, 13))


@pytest.mark.parametrize(("axis", "worse"), [(ACCURACY, -1), (LOSS, 1)])
def test_it_never_gets_worse_from_step_to_step(axis: Axis, worse: int) -> None:
    """So the best so far is the latest, and trials compare at a step, though one fold is harder than another."""
    chance = np.random.default_rng(0)
    values, finished = [], []
    for _ in range(3):
        epochs = list(chance.uniform(0, 1, 4))
        values += [axis.value(finished, epochs[:number]) for number in range(1, 5)]
        finished.append(max(epochs) if axis.sign > 0 else min(epochs))
    assert all(worse * (later - earlier) <= 1e-12 for earlier, later in pairwise(values))
    assert values[-1] == pytest.approx(sum(finished) / 3)


def test_median_stops_what_is_below_the_median_at_the_same_step() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner("epoch:median", ACCURACY))
    for height in np.linspace(0.5, 0.9, 5):
        trial = study.ask()
        for step in range(1, 13):
            trial.report(height * step / 12, step)
        study.tell(trial, height)
    bad, good = study.ask(), study.ask()
    bad.report(0.6 * 1 / 12, 1)
    good.report(0.8 * 1 / 12, 1)
    assert (bad.should_prune(), good.should_prune()) == (True, False)


def test_hyperband_ends_at_the_last_step_of_a_trial() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner("epoch:hyperband", ACCURACY))
    ended = []
    for number in range(30):
        trial = study.ask()
        step = 0
        for step in range(1, 13):
            trial.report(number % 7 / 10 + step / 1000, step)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, number % 7 / 10)
        ended.append(step)
    assert max(ended) == 12
    assert min(ended) < 12


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _stopped_after(differences: np.ndarray[Any, Any]) -> int:
    """After how many of its runs a trial is stopped that differs from the best one so; their number where never."""
    study = optuna.create_study(direction="maximize", pruner=make_pruner("fold:wilcoxon", ACCURACY))
    best = study.ask()
    for step in range(len(differences)):
        best.report(0.5, step)
    study.tell(best, 0.5)
    trial = study.ask()
    for step, difference in enumerate(differences):
        trial.report(0.5 + float(difference), step)
        if trial.should_prune():
            return step + 1
    return len(differences)


def test_wilcoxon_stops_after_the_third_of_five_folds_at_the_earliest() -> None:
    """Least one-sided p after 2, 3, 4, 5 folds: 1/4, 1/8, 1/16, 1/32."""
    assert WILCOXON_THRESHOLD > 1 / 8
    assert _stopped_after(np.array([-0.1, -0.2, -0.3, -0.4, -0.5])) == 3
    assert _stopped_after(np.array([-0.1, -0.2, 0.3, -0.4, -0.5])) == 5
    assert _stopped_after(np.array([0.1, -0.2, 0.3, -0.4, 0.5])) == 5


@pytest.mark.parametrize(("deficit", "stopped", "saved"), [(0.0, 0.18, 0.31), (1.0, 0.77, 1.38), (2.0, 0.99, 1.92)])
def test_how_often_wilcoxon_stops_a_trial_of_five_folds(deficit: float, stopped: float, saved: float) -> None:
    """The figures of docs/searches.md: ``deficit`` is how much worse the trial is, in standard deviations over folds."""
    chance = np.random.default_rng(0)
    stops = np.array([_stopped_after(chance.normal(-deficit, 1, 5)) for _ in range(500)])
    assert np.mean(stops < 5) == pytest.approx(stopped, abs=0.06)
    assert np.mean(5 - stops) == pytest.approx(saved, abs=0.12)


@pytest.mark.parametrize(
    ("search", "runs", "message"),
    [
        ({"pruner": "epoch:median", "objective": "macro_f1"}, 5, "macro_f1 is not measured after every epoch"),
        ({"pruner": "fold:wilcoxon"}, 2, "2 runs per trial"),
    ],
)
def test_a_pruner_that_cannot_work_is_refused(search: dict[str, Any], runs: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        axis_of(Search(**search), runs, 4, 10, "accuracy")
    assert axis_of(Search(pruner="epoch:median", objective="macro_f1"), 5, 4, 10, "macro_f1").by_epoch
