"""Which trials won: one per outer fold, chosen on that fold's validation alone, and one on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from petl_bench.sweeps.card import Levels
from petl_bench.sweeps.search.ledger import RUNS, values_of
from petl_bench.sweeps.search.space import Space


@dataclass(frozen=True)
class Winner:
    """A trial and the mean of the objective over what it was chosen on. ``fold``: None for all of them."""

    number: int
    levels: Levels
    fold: int | None
    score: float
    parameters: int


def winners_by_fold(trials: Sequence[FrozenTrial], space: Space, objective: str, folds: Sequence[int]) -> list[Winner]:
    """The winner of every fold, among complete trials; none where no trial is complete."""
    return [winner for fold in folds if (winner := _winner(trials, space, objective, fold)) is not None]


def pooled_winner(trials: Sequence[FrozenTrial], space: Space, objective: str) -> Winner | None:
    """The winner over all folds: with several, its choice has seen every clip (statistics of nested validation)."""
    return _winner(trials, space, objective, None)


def _winner(trials: Sequence[FrozenTrial], space: Space, objective: str, fold: int | None) -> Winner | None:
    """The best objective, then the lowest loss, the fewest parameters, the earliest trial."""
    ranked = []
    for trial in trials:
        runs = [run for run in trial.user_attrs.get(RUNS, ()) if fold is None or run["fold"] == fold]
        if trial.state != TrialState.COMPLETE or not runs:
            continue
        score, loss, parameters = _mean(runs, objective), _mean(runs, "loss"), int(runs[0]["parameters"])
        gain = -score if objective == "loss" else score
        levels = space.levels(values_of(trial))
        ranked.append(((-gain, loss, parameters, trial.number), Winner(trial.number, levels, fold, score, parameters)))
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _mean(runs: Sequence[dict[str, Any]], metric: str) -> float:
    return float(sum(run["metrics"][metric] for run in runs) / len(runs))
