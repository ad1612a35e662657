"""``petl-bench validate``: check cards against schemas and code, and files of runs and adapters for damage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from petl_bench.errors import UserError, nearest

if TYPE_CHECKING:
    from petl_bench.card_files import CardFile
    from petl_bench.sweeps.card import SweepCard


def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Cards, in folders named after their kind; or folders: of results, a run, or an exported adapter. "
            "[default: all cards]"
        ),
    ] = None,
) -> None:
    """Check cards against schemas and code, and every file of runs and adapters for damage.

    Exit code 2 where one is wrong.
    """
    wrong = 0
    for path, problems in _checked(paths or []):
        wrong += bool(problems)
        print("\n".join(f"wrong  {problem}" for problem in problems) or f"ok     {path}")
    if wrong:
        raise UserError(f"{wrong} of them {'is' if wrong == 1 else 'are'} wrong")


def _checked(paths: list[Path]) -> Iterator[tuple[Path, list[str]]]:
    """What was checked, and a line for everything that is wrong with it."""
    for path in paths:
        if path.is_dir():
            yield from _checked_folder(path)
    if not paths or not all(path.is_dir() for path in paths):
        for file in _chosen([path for path in paths if not path.is_dir()]):
            yield file.path, _problems(partial(_check, file))


def _checked_folder(folder: Path) -> list[tuple[Path, list[str]]]:
    from petl_bench.adapters.saved import is_adapter, read_adapter
    from petl_bench.results import ResultsTree
    from petl_bench.upkeep import problems_of, problems_of_run

    if (folder / "run.json").exists():
        return [(folder, problems_of_run(folder))]
    if is_adapter(folder):
        return [(folder, _problems(partial(read_adapter, folder)))]
    if (folder / "adapter_config.json").is_file():
        return [(folder, [f"{folder}: the layout of peft, which says nothing of damage; validate {folder.parent}"])]
    if (folder / "head").is_dir():
        from petl_bench.adapters.merged import check_merged, is_merged

        if is_merged(folder):
            return [(folder, _problems(partial(check_merged, folder)))]
    found = problems_of(ResultsTree(folder))
    return found or [(folder, [f"{folder}: no run and no adapter in it"])]


def _problems(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except UserError as error:
        return [str(error)]
    return []


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
        _check_study(file, read_card(file, SweepCard))


def _check_study(file: CardFile, sweep: SweepCard) -> None:
    """Every name, and every combination or dimension, of a study and of its quick version is one that a sweep takes."""
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


def _known(file: CardFile, key: str, name: str, allowed: Iterable[str]) -> None:
    names = sorted(allowed)
    if name not in names:
        raise UserError(f"{file.path}: {key}: unknown '{name}'{nearest(name, names)}; known: {', '.join(names)}")
