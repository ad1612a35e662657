"""``petl-bench validate``: check cards against their schemas and against the code they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from petl_bench.errors import UserError, nearest

if TYPE_CHECKING:
    from petl_bench.card_files import CardFile
    from petl_bench.sweeps.card import SweepCard


def validate(
    cards: Annotated[
        list[Path] | None, typer.Argument(help="Cards to check, in folders named after their kind. [default: all]")
    ] = None,
) -> None:
    """Check cards against schemas and code.

    Exit code 2 where one is wrong.
    """
    wrong = 0
    for file in _chosen(cards or []):
        try:
            _check(file)
            print(f"ok     {file.path}")
        except UserError as error:
            wrong += 1
            print(f"wrong  {error}")
    if wrong:
        raise UserError(f"{wrong} of the cards {'is' if wrong == 1 else 'are'} wrong")


def _chosen(paths: list[Path]) -> list[CardFile]:
    from petl_bench.card_files import KINDS, CardFile, card_files

    if not paths:
        return [file for kind in KINDS for file in card_files(kind).values()]
    files = []
    for path in paths:
        kind = next((kind for kind in KINDS if path.resolve().parent.name == kind), None)
        if kind is None or not path.is_file():
            raise UserError(f"{path}: give a card in a folder called {', '.join(KINDS)}")
        files.append(CardFile(path.stem, kind, path, local=True))
    return files


def _check(file: CardFile) -> None:
    from petl_bench.card_files import read_card
    from petl_bench.cards import BenchmarkCard
    from petl_bench.sweeps.card import SweepCard

    if file.kind == "methods":
        _check_method(file)
    elif file.kind == "benchmarks":
        from petl_bench.registry import LAYOUTS

        card = read_card(file, BenchmarkCard)
        _known(file, "layout", card.layout, LAYOUTS.names())
        folds = LAYOUTS.load(card.layout).cls.folds
        if folds not in (None, card.protocol.folds):
            raise UserError(f"{file.path}: protocol.folds = {card.protocol.folds}, but the data set defines {folds}")
    else:
        from petl_bench.card_files import card_files

        sweep = read_card(file, SweepCard)
        for kind, names in (("methods", sweep.methods), ("benchmarks", sweep.benchmarks)):
            for name in names:
                _known(file, kind, name, card_files(kind))  # type: ignore[arg-type]
        _check_study(file, sweep)


def _check_study(file: CardFile, sweep: SweepCard) -> None:
    """Every combination or dimension of a study, and of its quick version, is one that method and benchmark know."""
    from petl_bench.sweeps.grid import Options, points, quick
    from petl_bench.sweeps.search.target import targets

    for card, options in ((sweep, Options()), quick(sweep, Options())):
        try:
            points(card, options) if card.search is None else targets(card, options)
        except UserError as error:
            raise UserError(f"{file.path}: {error}") from error


def _check_method(file: CardFile) -> None:
    from petl_bench.card_files import card_files
    from petl_bench.lookup import load_method
    from petl_bench.registry import BACKBONES
    from petl_bench.settings import resolve_settings, setting_names
    from petl_bench.sweeps.search.space import Space

    choice = load_method(file)
    try:
        for name in ["", *choice.card.overrides]:
            resolve_settings(choice, name, "", {})
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error
    allowed = [*setting_names(choice.implementation.cls.Config), "lr", "weight_decay"]
    spaces = {f"search_space_for.{name}": space for name, space in choice.card.search_space_for.items()}
    for where, space in {"search_space": choice.card.search_space, **spaces}.items():
        for key in space:
            _known(file, where, key, allowed)
            for value in Space(space).ends(key):
                try:
                    resolve_settings(choice, "", "", {key: value})
                except UserError as error:
                    raise UserError(f"{file.path}: {where}: {error}") from error
    published = {reference.benchmark for reference in choice.card.reference}
    bundled = {known for known in BACKBONES.names() if BACKBONES.load(known).cls.model_type is None}
    for table, names in (("for", choice.card.overrides), ("search_space_for", choice.card.search_space_for)):
        for name in names:
            if "/" not in name:
                _known(file, table, name, {*card_files("benchmarks"), *bundled, *published})


def _known(file: CardFile, key: str, name: str, allowed: object) -> None:
    names = sorted(allowed)  # type: ignore[call-overload]
    if name not in names:
        raise UserError(f"{file.path}: {key}: unknown '{name}'{nearest(name, names)}; known: {', '.join(names)}")
