"""The leaderboard of a results tree: reports of all its tables, of the configurations that equal a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from petl_bench.canonical import digest
from petl_bench.errors import UserError, nearest
from petl_bench.index import read_runs
from petl_bench.leaderboard.names import Namer
from petl_bench.leaderboard.pages import title
from petl_bench.leaderboard.report import Data, report
from petl_bench.leaderboard.tables import Across, Table, make_tables
from petl_bench.profiling.profiles import read_profiles
from petl_bench.records import read_failure
from petl_bench.results import ResultsTree
from petl_bench.wording import count


def read_tables(results: Path, across: Across | None = None) -> tuple[list[Table], list[str]]:
    """All tables of a results folder, and a line for every run and profile that cannot be read.

    Raises UserError where there is no folder.
    """
    folder = results.expanduser()
    if not folder.is_dir():
        raise UserError(f"--results {results}: no such folder; `petl-bench run` makes one")
    runs, problems = read_runs(ResultsTree(folder))
    profiles, unread = read_profiles(folder)
    tables, without_rows = make_tables(runs, Namer(), across, profiles)
    return tables, [*problems, *unread, *without_rows]


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
    """Reports of all tables, and a line for everything left out; ``every``: variants of cards too.

    Left out are runs that cannot be read, runs that failed and were not made up for, and tables whose runs do not fit.
    """
    tables, problems = read_tables(results)
    reports, left_out = reports_of(tables, every=every)
    return reports, [*problems, *failed_runs(results), *left_out]


def reports_of(tables: Sequence[Table], *, every: bool = False) -> tuple[list[Data], list[str]]:
    """Reports of tables, cut to the configurations that equal a card unless ``every``, and a line for each left out."""
    reports: list[Data] = []
    problems: list[str] = []
    for table in tables:
        shown = tuple(row for row in table.rows if every or not row.name.variant)
        left_out = len(table.rows) - len(shown)
        hidden = equal_to_no_card(left_out)
        where = f"{table.benchmark}, backbone {table.backbone}"
        if not shown:
            problems.append(f"{where}: {hidden} (--all shows them)")
            continue
        try:
            data = report(replace(table, rows=shown))
        except UserError as error:
            problems.append(f"{where}: {error}")
            continue
        if left_out:
            data["notes"].append(f"not shown: {hidden} (--all shows them)")
        reports.append(data)
    tell_apart(reports, {digest(table.conditions, 8): table.conditions for table in tables})
    return reports, problems


def equal_to_no_card(number: int) -> str:
    """``1 configuration that equals no card``."""
    return f"{count(number, 'configuration')} that equal{'s' * (number == 1)} no card"


def of_cards(tables: Sequence[Table], baseline: str | None) -> list[Table]:
    """Tables cut to the rows that equal a card, and the baseline whatever it is."""
    return [
        replace(table, rows=tuple(row for row in table.rows if not row.name.variant or row.name.text == baseline))
        for table in tables
    ]


def titles(tables: Sequence[Table]) -> list[str]:
    """What each table is called beside the others: benchmark, backbone, profile, and in what it differs from them."""
    shown: list[Data] = [
        {
            "table": digest(table.conditions, 8),
            "benchmark": table.benchmark,
            "backbone": table.backbone,
            "profile": table.profile,
            "switches": table.spec.switches.model_dump(),
        }
        for table in tables
    ]
    tell_apart(shown, {digest(table.conditions, 8): table.conditions for table in tables})
    return [title(data) for data in shown]


def failed_runs(results: Path) -> list[str]:
    """A line for every run that failed and has no record."""
    tree = ResultsTree(results.expanduser())
    failures, lines = tree.failures(), []
    finished = tree.run_folders() if failures else {}
    for key, path in sorted(failures.items()):
        if key not in finished:
            failure = read_failure(path)
            what = f"{failure.title}: {failure.error}" if failure else f"{key}, unreadable {path.name}"
            lines.append(f"failed: {what}")
    return lines


def tell_apart(reports: Sequence[Data], conditions: Mapping[str, Mapping[str, Any]]) -> None:
    """Say of tables that share benchmark, backbone and profile in what they differ."""
    for data in reports:
        names = ("benchmark", "backbone", "profile")
        alike = [other for other in reports if all(other[name] == data[name] for name in names)]
        mine = conditions[data["table"]]
        keys = dict.fromkeys(key for other in [data, *alike] for key in conditions[other["table"]])
        differing = [
            key
            for key in keys
            if len({json.dumps(conditions[other["table"]].get(key), default=str) for other in alike}) > 1
        ]
        data["unlike_others"] = [f"{key} = {mine.get(key)}" for key in differing]
