"""``petl-bench leaderboard``: tables of a results tree as Markdown, CSV and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from petl_bench.cli._options import Results


def leaderboard(
    results: Results = Path("results"),
    out: Annotated[
        Path | None, typer.Option(help="Folder for leaderboard.md, .csv and .json. [default: print one]")
    ] = None,
    form: Annotated[Literal["md", "csv", "json"], typer.Option("--format", help="What to print.")] = "md",
    every: Annotated[
        bool, typer.Option("--all", help="Also configurations that equal no card (a sweep's levels, --set).")
    ] = False,
) -> None:
    """Write the leaderboard of a results tree."""
    from petl_bench.files import write_atomically, writing
    from petl_bench.leaderboard.board import board
    from petl_bench.leaderboard.pages import csv_text, json_text, markdown

    reports, problems = board(results, every=every)
    texts = {"md": markdown, "csv": csv_text, "json": json_text}
    if out is None:
        print(texts[form](reports, problems), end="")
    else:
        for suffix, text in texts.items():
            with writing(f"--out {out}"):
                write_atomically(out / f"leaderboard.{suffix}", text(reports, problems).encode())
            print(out / f"leaderboard.{suffix}")
    for problem in problems if form == "csv" and out is None else []:
        typer.echo(f"petl-bench: left out: {problem}", err=True)
