"""One search from its card to its trials: open the book, conduct what is left, say who won."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from petl_bench.execution import Execution
from petl_bench.results import ResultsTree
from petl_bench.sweeps.search.conduct import Conductor, SearchReporter
from petl_bench.sweeps.search.ledger import Ledger
from petl_bench.sweeps.search.pruning import make_pruner
from petl_bench.sweeps.search.storage import Direction, open_journal, open_study, open_url
from petl_bench.sweeps.search.target import Target
from petl_bench.sweeps.search.winners import Winner, pooled_winner, winners_by_fold

FOLDER = "searches"
"""Below the results folder: journals of trials, a file per sweep card."""


@dataclass(frozen=True)
class Searched:
    """What a search found: its trials, without those lost, and who won."""

    target: Target
    study: optuna.Study
    trials: list[FrozenTrial]
    by_fold: list[Winner] = field(default_factory=list)
    pooled: Winner | None = None


def journal_of(tree: ResultsTree, card: str) -> Path:
    """Where the trials of a card's searches are kept unless a storage is given."""
    return (tree.root / FOLDER / f"{card}.journal").absolute()


def open_storage(url: str | None, journal: Path) -> BaseStorage:
    """The storage at a URL, else the journal. Raises UserError where it cannot be opened."""
    return open_url(url) if url else open_journal(journal)


def ledger_of(target: Target, storage: BaseStorage, tree: ResultsTree) -> Ledger:
    """The book of a target's trials, opened or begun."""
    search = target.search
    directions: list[Direction] = ["minimize" if search.objective == "loss" else "maximize"]
    if search.sampler == "nsga2":
        directions.append("minimize")
    study = open_study(storage, target.study, directions)
    study.pruner = make_pruner(search.pruner, target.axis)
    return Ledger(study, search, target.space, tree.claims, search.trials)


def search(
    target: Target,
    storage: BaseStorage,
    tree: ResultsTree,
    reporter: SearchReporter,
    execution: Execution,
    *,
    retry_failed: bool = False,
) -> Searched:
    """Conduct a search until it has as many trials as are wanted. Raises UserError where no run can be trained."""
    ledger = ledger_of(target, storage, tree)
    Conductor(target, ledger, tree, reporter, retry_failed=retry_failed).conduct(execution)
    trials, objective = ledger.trials(), target.search.objective
    by_fold = winners_by_fold(trials, target.space, objective, target.folds)
    return Searched(target, ledger.study, trials, by_fold, pooled_winner(trials, target.space, objective))
