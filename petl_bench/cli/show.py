"""``petl-bench show``: one card, backbone or run in full."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petl_bench.cli._options import Results
from petl_bench.errors import UserError, nearest
from petl_bench.files import read_text


def show(
    name: Annotated[str, typer.Argument(help="Name of a card or backbone, a card's path, or a run key.")],
    results: Results = Path("results"),
) -> None:
    """Show one card, backbone or run in full."""
    from petl_bench.card_files import KINDS, SCHEMAS, card_files, read_card
    from petl_bench.registry import BACKBONES, METHODS

    if name.endswith((".toml", ".py")) and Path(name).is_file():
        print(read_text(Path(name)), end="")
        return
    if METHODS.is_bridged(name):
        _show_bridged(name)
        return
    known: set[str] = {*BACKBONES.names(), *METHODS.plugins}
    shown = False
    for kind in KINDS:
        files = card_files(kind)
        known |= set(files)
        if name in files:
            if files[name].path.suffix == ".toml":
                read_card(files[name], SCHEMAS[kind])
            print(f"# {kind}: {files[name].path}")
            print(read_text(files[name].path), end="")
            shown = True
    if not shown and name in METHODS.plugins:
        print(f"# method: {METHODS.summary(name)}")
        shown = True
    if name in BACKBONES.names():
        print(f"# backbone: {BACKBONES.summary(name)}")
        shown = True
    if not shown and not _show_run(name, results):
        raise UserError(f"nothing is called '{name}'{nearest(name, known)}: no card, no backbone, no run in {results}")


def _show_bridged(name: str) -> None:
    """Print the settings of another library's method, with their defaults."""
    import json

    from petl_bench.lookup import find_method

    choice = find_method(name)
    print(f"# method: {choice.card.title}")
    defaults = choice.implementation.cls.Config().model_dump(mode="json")
    print("\n".join(f"{key} = {json.dumps(value)}" for key, value in defaults.items()))


def _show_run(key: str, results: Path) -> bool:
    """Print the record, or the latest failure, of the run whose key starts with ``key``."""
    from petl_bench.results import ResultsTree, match_key

    tree = ResultsTree(results.expanduser())
    files = {name: folder / "run.json" for name, folder in tree.run_folders().items()}
    files = {**tree.failures(), **files}
    match = match_key(key, files)
    if match is not None:
        print(read_text(files[match]), end="")
    return match is not None
