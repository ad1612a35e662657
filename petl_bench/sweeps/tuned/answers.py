"""Whether what a search chose is better than the card as it is: the runs that tell, and the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from petl_bench.errors import UserError
from petl_bench.index import Clips, IndexedRun, predicted_classes
from petl_bench.leaderboard.tables import scores_of
from petl_bench.plan import Plan, PlannedRun
from petl_bench.records import read_predictions
from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.multiplicity import holm
from petl_bench.stats.scores import Scores
from petl_bench.sweeps.search.study import Searched

DEFAULT, BY_FOLD, POOLED = "the card as it is", "tuned, one winner per fold", "tuned, one winner for all folds"


@dataclass(frozen=True)
class Evaluation:
    """The runs that tell what a search is worth, all under its study's own seeds. Without a winner, the card's."""

    default: Plan
    by_fold: Plan
    pooled: Plan

    @property
    def runs(self) -> list[PlannedRun]:
        """Every run once."""
        return list({run.key: run for run in (*self.default, *self.by_fold, *self.pooled)}.values())


@dataclass(frozen=True)
class Versus:
    """One configuration, or one method's, against another: ``estimate`` is the difference where there is one."""

    what: str
    estimate: Estimate | NotAvailable
    holm_p: Quantity


@dataclass(frozen=True)
class Outcome:
    """A search with the scores of what is compared, on test and on validation clips, and the comparisons.

    by_fold and pooled are on test clips, on_validation is the pooled winner's; all against the card as it is.
    """

    searched: Searched
    test: Mapping[str, Scores]
    validation: Mapping[str, Scores]
    by_fold: Versus
    pooled: Versus
    on_validation: Versus
    runs: tuple[IndexedRun, ...]
    due: int


def evaluation_of(searched: Searched) -> Evaluation:
    """The runs that a search's outcome needs."""
    target = searched.target
    default = target.plan({}, target.seeds, DEFAULT)
    if searched.pooled is None:
        return Evaluation(default, (), ())
    by_fold = [
        run
        for winner in searched.by_fold
        if winner.fold is not None
        for run in target.plan(winner.levels, target.seeds, f"winner of fold {winner.fold}", folds=[winner.fold])
    ]
    return Evaluation(default, tuple(by_fold), target.plan(searched.pooled.levels, target.seeds, "winner of all folds"))


def outcomes(
    found: Sequence[tuple[Searched, Evaluation]], indexed: Mapping[str, IndexedRun], folders: Mapping[str, Path]
) -> list[Outcome]:
    """What searches are worth; p-values are adjusted over the methods of a benchmark (Holm)."""
    every = [_outcome(searched, evaluation, indexed, folders) for searched, evaluation in found]
    for benchmark in dict.fromkeys(outcome.searched.target.benchmark for outcome in every):
        its = [at for at, outcome in enumerate(every) if outcome.searched.target.benchmark == benchmark]
        parts = [_adjusted([getattr(every[at], part) for at in its]) for part in ("by_fold", "pooled", "on_validation")]
        for at, by_fold, pooled, on_validation in zip(its, *parts, strict=True):
            every[at] = replace(every[at], by_fold=by_fold, pooled=pooled, on_validation=on_validation)
    return every


def between_methods(its: Sequence[Outcome]) -> list[Versus]:
    """Tuned methods of one benchmark against each other, all pairs, on test; Holm over these."""
    pairs = [
        _versus(f"{a.searched.target.method} - {b.searched.target.method}", a.test.get(BY_FOLD), b.test.get(BY_FOLD))
        for a, b in combinations(its, 2)
    ]
    return _adjusted(pairs)


def _outcome(
    searched: Searched, evaluation: Evaluation, indexed: Mapping[str, IndexedRun], folders: Mapping[str, Path]
) -> Outcome:
    test: dict[str, Scores] = {}
    validation: dict[str, Scores] = {}
    folds, used = searched.target.folds, []
    for name, plan in ((DEFAULT, evaluation.default), (BY_FOLD, evaluation.by_fold), (POOLED, evaluation.pooled)):
        runs = [indexed[run.key] for run in plan if run.key in indexed]
        if not runs:
            continue
        used += runs
        test[name] = scores_of(name, runs, folds)
        of_validation = [_on_validation(run, folders[run.record.run_info.run_key]) for run in runs]
        validation[name] = scores_of(name, of_validation, folds)
    return Outcome(
        searched,
        test,
        validation,
        by_fold=_versus(BY_FOLD, test.get(BY_FOLD), test.get(DEFAULT)),
        pooled=_versus(POOLED, test.get(POOLED), test.get(DEFAULT)),
        on_validation=_versus(POOLED, validation.get(POOLED), validation.get(DEFAULT)),
        runs=tuple({run.record.run_info.run_key: run for run in used}.values()),
        due=len(evaluation.runs),
    )


def _on_validation(run: IndexedRun, folder: Path) -> IndexedRun:
    """A run as if its validation clips were tested. A clip may validate several folds: its id names the fold."""
    kept = read_predictions(folder)
    ids = np.char.add(f"fold {run.record.spec.fold} ", kept.validation_ids)
    return IndexedRun(
        run.record,
        Clips(ids, kept.validation_groups, kept.validation_targets),
        predicted_classes(kept.validation_logits),
    )


def _versus(what: str, first: Scores | None, second: Scores | None) -> Versus:
    if first is None or second is None:
        nothing = NotAvailable("no complete trial" if first is None else "no run of the card as it is")
        return Versus(what, nothing, nothing)
    try:
        estimate = contrast([first, second], [1, -1])
    except UserError as error:
        estimate = NotAvailable(str(error))
    return Versus(what, estimate, estimate if isinstance(estimate, NotAvailable) else estimate.p_value)


def _adjusted(every: Sequence[Versus]) -> list[Versus]:
    return [
        replace(versus, holm_p=p) for versus, p in zip(every, holm([versus.holm_p for versus in every]), strict=True)
    ]
