"""``petl-bench data``: fetch a data set's official archive, or look a copy through."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petl_bench.cli._layout import next_step
from petl_bench.cli._options import DataDir, Json
from petl_bench.errors import UserError
from petl_bench.wording import count

if TYPE_CHECKING:
    from petl_bench.cards import BenchmarkCard


def data(
    action: Annotated[
        Literal["get", "verify"],
        typer.Argument(
            help="get: fetch the official archive, compare its checksum, unpack and check it. verify: read every clip "
            "of a copy, and look for what is missing, broken, or the same recording in two groups."
        ),
    ],
    name: Annotated[str, typer.Argument(help="Benchmark card or card path.")],
    data_dir: DataDir = None,
    archive: Annotated[
        Path | None, typer.Option("--from", help="get: an archive that is here already.", metavar="FILE")
    ] = None,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="get: keep the archive beside it.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a data set, or look through a copy of one.

    A fetch that was stopped goes on with the same command.
    """
    if action == "verify" and (archive is not None or keep_archive):
        raise UserError("data verify takes neither --from nor --keep-archive: they are for data get")
    if action == "get" and as_json:
        raise UserError("data get prints no JSON: --json is for data verify")

    from petl_bench.card_files import find_card, read_card
    from petl_bench.cards import BenchmarkCard
    from petl_bench.locations import data_folder

    file = find_card("benchmarks", name)
    card = read_card(file, BenchmarkCard)
    folder = data_folder(file.name, data_dir, card.folder)
    if action == "get":
        _get(file.name, card, folder, archive=archive, keep_archive=keep_archive)
        elsewhere = "" if data_dir is None else f" --data-dir {shlex.quote(str(folder))}"
        next_step(f"petl-bench run --methods linear,lora --dataset {file.name}{elsewhere}")
    else:
        _verify(file.name, card, folder, as_json)


def _get(name: str, card: BenchmarkCard, folder: Path, *, archive: Path | None, keep_archive: bool) -> None:
    from rich.console import Console

    from petl_bench.benchmarks.acquisition import acquire
    from petl_bench.cli._steps import Steps

    console = Console()
    try:
        with Steps(console) as steps:
            done = acquire(name, card, folder, archive and archive.expanduser(), keep_archive, steps)
    except KeyboardInterrupt:
        print("what has come is kept: the same command goes on from there")
        raise
    print(f"{name}: {'is there already, ' if done.already else ''}{count(done.clips, 'clip')} in {done.folder}")
    if done.archive is not None:
        print(f"{name}: the archive is {done.archive}")
    if card.download is not None and card.download.licence:
        print(f"{name}: licence {card.download.licence}; {card.download.url}")


def _verify(name: str, card: BenchmarkCard, folder: Path, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from rich.console import Console

    from petl_bench.benchmarks.inspection import inspect
    from petl_bench.cli._findings import print_findings
    from petl_bench.cli._steps import Steps

    with Steps(Console(stderr=as_json)) as steps:
        report = inspect(name, card, folder, steps)
    if as_json:
        facts = vars(report) | {"folder": str(report.folder), "same": [asdict(pair) for pair in report.same]}
        print(json.dumps({"name": name, "is_well": report.is_well, **facts}, indent=2))
    else:
        print_findings(name, card, report)
    if not report.is_well:
        raise typer.Exit(1)
