"""The leaderboard of a results tree: reports of all its tables, of the configurations that equal a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from petl_bench.errors import UserError, nearest
from petl_bench.index import read_runs
from petl_bench.leaderboard.names import Namer
from petl_bench.leaderboard.report import Data, report
from petl_bench.leaderboard.tables import Across, Table, make_tables
from petl_bench.results import ResultsTree


def read_tables(results: Path, across: Across | None = None) -> tuple[list[Table], list[str]]:
    """All tables of a results folder, and a line for every run that cannot be read. Raises UserError: no folder."""
    folder = results.expanduser()
    if not folder.is_dir():
        raise UserError(f"--results {results}: no such folder; `petl-bench run` makes one")
    runs, problems = read_runs(ResultsTree(folder))
    return make_tables(runs, Namer(), across), problems


def with_methods(tables: Sequence[Table], names: Sequence[str], benchmark: str | None, results: Path) -> list[Table]:
    """The tables of a benchmark (None: of all) that hold named rows, cut to these. Raises UserError: no such row."""
    tables = [table for table in tables if benchmark in (None, table.benchmark)]
    there = {row.name.text for table in tables for row in table.rows}
    for name in names:
        if name not in there:
            known = f"there are {', '.join(sorted(there))}" if there else "there are no runs"
            where = results if benchmark is None else f"{results} on {benchmark}"
            raise UserError(f"no runs of '{name}' in {where}{nearest(name, there)}; {known}")
    cut = [replace(table, rows=tuple(row for row in table.rows if row.name.text in names)) for table in tables]
    return [table for table in cut if table.rows]


def board(results: Path, *, every: bool = False) -> tuple[list[Data], list[str]]:
    """Reports of all tables, and a line for every run that cannot be read; ``every``: variants of cards too.

    Runs that failed and were not made up for are named in the notes.
    """
    tables, problems = read_tables(results)
    reports = []
    for table in tables:
        shown = tuple(row for row in table.rows if every or not row.name.variant)
        left_out = len(table.rows) - len(shown)
        if not shown:
            problems.append(
                f"{table.benchmark}, {table.backbone}: {left_out} configurations that equal no card (--all)"
            )
            continue
        data = report(replace(table, rows=shown))
        if left_out:
            data["notes"].append(f"{left_out} configurations that equal no card are not shown (--all shows them)")
        reports.append(data)
    return reports, problems
