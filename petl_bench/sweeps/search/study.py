"""One search from its card to its trials: open the book, conduct what is left, say who won."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from petl_bench.canonical import digest
from petl_bench.errors import UserError, one_line
from petl_bench.execution import Execution
from petl_bench.files import write_atomically
from petl_bench.results import ResultsTree
from petl_bench.sweeps.card import Search
from petl_bench.sweeps.search.conduct import Conductor, SearchReporter
from petl_bench.sweeps.search.ledger import Ledger
from petl_bench.sweeps.search.pruning import make_pruner
from petl_bench.sweeps.search.storage import Direction, open_journal, open_study, open_url
from petl_bench.sweeps.search.target import Target
from petl_bench.sweeps.search.winners import Winner, pooled_winner, winners_by_fold

FOLDER = "searches"
"""Below the results folder: journals of trials, a file per sweep card."""
RESULTS = "results"
"""Attribute of a study: which results folder it belongs to."""
BOOK = "book"
"""Attribute of a study: what tells it from one of its name in another storage."""


@dataclass(frozen=True)
class Searched:
    """What a search found: as many trials as it was to have, and who won. ``study`` holds the lost ones too."""

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
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return open_journal(journal) if url is None else open_url(url)


def directions_of(search: Search) -> list[Direction]:
    """Which way the objective is better, and beside it, for nsga2, the number of parameters."""
    first: Direction = "minimize" if search.objective == "loss" else "maximize"
    return [first, "minimize"] if search.sampler == "nsga2" else [first]


def ledger_of(target: Target, storage: BaseStorage, tree: ResultsTree) -> Ledger:
    """The book of a target's trials, opened or begun. Raises UserError where they are of another results folder."""
    search = target.search
    study = open_study(storage, target.study, directions_of(search))
    study.pruner = make_pruner(search.pruner, target.axis)
    with tree.claims.wait(f"search-{digest(target.study)}-opening"):
        _belong_to(study, tree)
        if (book := study.user_attrs.get(BOOK)) is None:
            study.set_user_attr(BOOK, book := secrets.token_hex(8))
    return Ledger(study, search, target.space, tree.claims, target.trials, book)


def trials_on_record(targets: Sequence[Target], url: str | None, journal: Path, tree: ResultsTree) -> list[int]:
    """How many of each target's trials have ended, of those it is to have; begins neither a journal nor a study.

    0 without a target's data, which tell which trials are its own. Raises UserError where the storage cannot be opened.
    """
    if url is None and not journal.is_file():
        return [0] * len(targets)
    with _reaching():
        storage = open_storage(url, journal)
        return [_finished_in(storage, target, tree) for target in targets]


def _finished_in(storage: BaseStorage, target: Target, tree: ResultsTree) -> int:
    if target.workbench is None:
        return 0
    try:
        study = optuna.load_study(storage=storage, study_name=target.study)
    except KeyError:
        return 0
    return len(Ledger(study, target.search, target.space, tree.claims, target.trials).finished())


@contextmanager
def _reaching() -> Iterator[None]:
    """Say in one line that the storage went away, or is not what it was."""
    try:
        yield
    except (OSError, JSONDecodeError, StorageInternalError, SQLAlchemyError) as error:
        cause = one_line(error.__cause__ or error)
        raise UserError(
            f"the trials cannot be read or written ({cause}); runs that were trained are on record, and the same "
            "command goes on from there once they can"
        ) from error


def _belong_to(study: optuna.Study, tree: ResultsTree) -> None:
    """Keep a study to one results folder: what processes claim, and what they have trained, is there."""
    identity = tree.root / FOLDER / "identity"
    if not identity.is_file():
        write_atomically(identity, secrets.token_hex(8).encode())
    mine = identity.read_text()
    if (theirs := study.user_attrs.get(RESULTS)) is None:
        study.set_user_attr(RESULTS, mine)
    elif theirs != mine:
        raise UserError(
            f"the trials of '{study.study_name}' in this storage belong to another results folder than {tree.root}: "
            "give that one with --results, or another --storage"
        )


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
    with _reaching():
        ledger = ledger_of(target, storage, tree)
        Conductor(target, ledger, tree, reporter, retry_failed=retry_failed).conduct(execution)
    trials, objective = ledger.trials(), target.search.objective
    by_fold = winners_by_fold(trials, target.space, objective, target.folds)
    return Searched(target, ledger.study, trials, by_fold, pooled_winner(trials, target.space, objective))
