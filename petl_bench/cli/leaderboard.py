"""``petl-bench leaderboard``: tables of a results tree, on the terminal, as files, as a page for a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from petl_bench.cli._layout import next_step
from petl_bench.cli._options import Results
from petl_bench.errors import UserError

Form = Literal["text", "md", "csv", "json", "tex", "html"]
FILES: tuple[Form, ...] = get_args(Form)[1:]


def leaderboard(
    results: Results = Path("results"),
    out: Annotated[
        Path | None, typer.Option(help="Folder for leaderboard.md, .csv, .json, .tex and .html. [default: print one]")
    ] = None,
    form: Annotated[Form | None, typer.Option("--format", help="What to print. [default: text]")] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Write the page alone, to --out or to the working directory.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also configurations that equal no card (a sweep's levels, --set).")
    ] = False,
) -> None:
    """Show or write the leaderboard of a results tree."""
    if form is not None and (html or out is not None):
        raise UserError(f"--format {form} prints: leave it out where --html or --out writes files")
    from petl_bench.leaderboard.board import failed_runs, read_tables, reports_of

    tables, problems = read_tables(results)
    reports, left_out = reports_of(tables, every=every)
    problems += [*failed_runs(results), *left_out]

    def text(form: Form) -> str:
        from petl_bench.leaderboard.latex import latex
        from petl_bench.leaderboard.pages import csv_text, json_text, markdown

        if form == "html":
            from petl_bench.leaderboard.web.details import details_of
            from petl_bench.leaderboard.web.page import html_text
            from petl_bench.results import ResultsTree

            shown = {row["config_key"] for report in reports for row in report["rows"]}
            folders = ResultsTree(results.expanduser()).run_folders()
            return html_text(reports, details_of(tables, folders, shown), problems)
        return {"md": markdown, "csv": csv_text, "json": json_text, "tex": latex}[form](reports, problems)

    if html or out is not None:
        _write(out or Path(), {form: text(form) for form in (("html",) if html else FILES)})
    elif form in (None, "text"):
        from petl_bench.cli._board import print_board

        print_board(reports, problems, results)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text(form).encode())  # as a file holds it, whatever the terminal shows
    for problem in problems if form in ("csv", "tex") else []:
        typer.echo(f"petl-bench: left out: {problem}", err=True)


def _write(folder: Path, texts: dict[Form, str]) -> None:
    from petl_bench.files import write_atomically, writing

    for suffix, text in texts.items():
        with writing(f"--out {folder}"):
            write_atomically(folder / f"leaderboard.{suffix}", text.encode())
        print(folder / f"leaderboard.{suffix}")
    next_step(f"open {(folder / 'leaderboard.html').resolve().as_uri()} in a browser")
