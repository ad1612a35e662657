"""When a trial is stopped early. A study has one step axis: epochs over all runs of a trial, or its runs.

``epoch:median`` and ``epoch:hyperband`` see, after every epoch, what the trial would score if it learnt nothing more.
``fold:wilcoxon`` sees the score of every run and tests whether the trial is worse than the best one so far, run by run
(one-sided signed-rank test; docs/searches.md says what it can do on 5 folds).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.exceptions import ExperimentalWarning

from petl_bench.errors import UserError
from petl_bench.sweeps.card import Pruner, Search

WILCOXON_THRESHOLD = 0.13
"""With Optuna's own .1, no trial of 5 folds could be stopped before its fourth: the least p after 3 is .125."""
STARTUP_TRIALS = 5
"""Trials that ``epoch:median`` needs to have seen."""


@dataclass(frozen=True)
class Axis:
    """The step axis of a study whose trials have so many ``runs`` of so many ``epochs``.

    worst: the score of a run that has learnt nothing. sign: +1 where higher is better.
    """

    by_epoch: bool
    runs: int
    epochs: int
    worst: float
    sign: int

    def step(self, run: int, epoch: int) -> int:
        """The step after an epoch, from 1, of a run, from 0."""
        return run * self.epochs + epoch

    def value(self, finished: Sequence[float], epochs: Sequence[float]) -> float:
        """Mean over runs if nothing more is learnt: those ``finished``, the best of these ``epochs``, the rest worst.

        It never gets worse from one step to the next, whatever the folds are like.
        """
        best = max([*(self.sign * value for value in epochs), self.sign * self.worst])
        left = self.runs - len(finished) - 1
        return (sum(finished) + self.sign * best + left * self.worst) / self.runs


def axis_of(search: Search, runs: int, epochs: int, classes: int, metric: str) -> Axis:
    """The axis of a study.

    Raises UserError where a run's log does not have the objective by epoch, or where there are too few runs to test.
    """
    by_epoch, of_loss = search.pruner.startswith("epoch:"), search.objective == "loss"
    logged = ("loss", "accuracy", metric)
    if by_epoch and search.objective not in logged:
        raise UserError(f"pruner {search.pruner}: {search.objective} is not measured after every epoch; objective: one "
                        f"of {', '.join(dict.fromkeys(logged))}, or another pruner")  # fmt: skip
    if search.pruner == "fold:wilcoxon" and runs < 3:
        raise UserError(f"pruner fold:wilcoxon: {runs} runs per trial: no p below {WILCOXON_THRESHOLD} before 3")
    return Axis(by_epoch, runs, epochs, worst=math.log(classes) if of_loss else 0.0, sign=-1 if of_loss else 1)


def make_pruner(name: Pruner, axis: Axis) -> optuna.pruners.BasePruner:
    """Optuna's pruner."""
    if name == "epoch:median":
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=0)
    if name == "epoch:hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=max(1, axis.epochs // 3), max_resource=axis.step(axis.runs, 0)
        )
    if name == "fold:wilcoxon":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return optuna.pruners.WilcoxonPruner(p_threshold=WILCOXON_THRESHOLD)
    return optuna.pruners.NopPruner()
