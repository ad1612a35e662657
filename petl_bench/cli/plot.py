"""``petl-bench plot``: figures of a results tree, as PNG and SVG."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petl_bench.cli._options import Results
from petl_bench.errors import UserError, nearest

if TYPE_CHECKING:
    from petl_bench.leaderboard.tables import Table

Kind = Literal["parameters", "differences", "runs", "confusion", "convergence", "gates"]


def plot(
    kind: Annotated[
        Kind,
        typer.Argument(
            help="parameters: score against trained parameters. differences: forest plot, intervals, p-values. "
            "runs: every fold and seed. confusion: which classes are taken for which. convergence: loss and accuracy "
            "by epoch. gates: how gated methods weigh their adapters, by layer and class."
        ),
    ],
    methods: Annotated[
        list[str] | None, typer.Argument(help="Methods or variants, as the leaderboard calls them. [default: all]")
    ] = None,
    results: Results = Path("results"),
    dataset: Annotated[str | None, typer.Option(help="Only this benchmark.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="differences: each with this one, chosen before the results were seen.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="differences: points within which methods count as equally good.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures.", show_default=True)] = Path("figures"),
) -> None:
    """Draw a figure per table of the leaderboard.

    Of all tables, or of those that hold the methods.
    """
    if kind != "differences" and (baseline is not None or margin is not None):
        raise UserError(f"plot {kind} takes neither --baseline nor --margin: they are for plot differences")
    if margin is not None and not 0 < margin < 100:
        raise UserError(f"--margin {margin:g}: give points between 0 and 100, for example 1.0")
    from petl_bench.canonical import digest
    from petl_bench.files import writing
    from petl_bench.leaderboard.board import titles
    from petl_bench.leaderboard.figures.style import Wanted, file_name, save
    from petl_bench.results import ResultsTree

    tables, problems = _tables(methods or [], baseline, dataset, results)
    draw = import_module(f"petl_bench.leaderboard.figures.{kind}").draw
    folders, drawn = ResultsTree(results.expanduser()).run_folders(), 0
    for table, title in zip(tables, titles(tables), strict=True):
        parts = [kind, table.benchmark, table.backbone, digest(table.conditions, 6)]
        parts += sorted(methods) if methods and kind != "confusion" else []
        try:
            figures = list(draw(table, Wanted(title, folders, baseline, margin)))
        except UserError as error:
            problems.append(f"{title}: {error}")
            continue
        for name, figure in figures:
            with writing(f"--out {out}"):
                paths = save(figure, out, file_name([*parts, *([name] if name else [])]))
            for path in paths:
                print(path)
            drawn += 1
    if not drawn:
        raise UserError(f"nothing to draw in {results}" + (f": {problems[0]}" if problems else ""))
    for problem in problems:
        typer.echo(f"petl-bench: left out: {problem}", err=True)


def _tables(
    names: list[str], baseline: str | None, dataset: str | None, results: Path
) -> tuple[list[Table], list[str]]:
    """The tables that are drawn, cut to the methods asked for, else to those that equal a card; and what is left out.

    Raises UserError where a name is wrong.
    """
    from petl_bench.leaderboard.board import of_cards, read_tables, with_methods

    asked = tuple(dict.fromkeys([*names, *([baseline] if baseline else [])]))
    tables, problems = read_tables(results)
    every = [table for table in tables if dataset in (None, table.benchmark)]
    if dataset is not None and tables and not every:
        there = {table.benchmark for table in tables}
        raise UserError(f"--dataset {dataset}: no runs{nearest(dataset, there)}; there are {', '.join(sorted(there))}")
    tables = with_methods(every, asked, dataset, results)
    if not names:
        tables = [table for table in of_cards(every, baseline) if table.rows]
    if baseline is not None:
        tables = [table for table in tables if baseline in {row.name.text for row in table.rows}]
    return tables, problems
