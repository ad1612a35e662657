"""``petl-bench compare``: differences between methods with intervals, tests and verdicts in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petl_bench.cli._options import Json, Results, read_names
from petl_bench.errors import UserError

if TYPE_CHECKING:
    from petl_bench.leaderboard.tables import Table


def compare(
    names: Annotated[
        list[str] | None, typer.Argument(help="Methods or variants, as the leaderboard calls them. [default: all]")
    ] = None,
    results: Results = Path("results"),
    dataset: Annotated[str | None, typer.Option(help="Benchmarks, between commas. [default: all]")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only runs on this backbone.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only runs of this profile.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Compare each with this one, chosen before the results were seen.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Points within which methods count as equally good, fixed beforehand.")
    ] = None,
    across: Annotated[
        Literal["backbone", "switches"] | None,
        typer.Option(help="Compare also what was run on other backbones, or under other switches."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Further tests.")] = False,
    as_json: Json = False,
) -> None:
    """Compare methods: differences, 95% intervals, p-values, verdicts."""
    if margin is not None and not margin > 0:
        raise UserError(f"--margin {margin:g}: give points above 0, for example 1.0")
    from petl_bench.leaderboard.board import read_tables
    from petl_bench.leaderboard.differences import differences, over_datasets
    from petl_bench.leaderboard.report import report

    tables, problems = read_tables(results, across)
    wanted = read_names("--dataset", dataset) if dataset else ()
    tables = [
        table
        for table in tables
        if (not wanted or table.benchmark in wanted)
        and backbone in (None, table.backbone)
        and profile in (None, table.profile)
    ]
    chosen = _chosen(tables, names or (), baseline, results)
    share = None if margin is None else margin / 100
    compared = [{**report(table), "comparisons": differences(table, baseline, share)} for table in chosen]
    together = [rows for group in _same_conditions(chosen) if (rows := over_datasets(group, baseline))]
    if as_json:
        print(json.dumps({"tables": compared, "over_datasets": together, "left_out": problems}, indent=1))
        return
    from petl_bench.cli._compared import print_over_datasets, print_table

    for data in compared:
        print_table(data, margin=margin, verbose=verbose)
    for rows in together:
        print_over_datasets(rows)
    for problem in problems:
        typer.echo(f"petl-bench: left out: {problem}", err=True)


def _chosen(tables: Sequence[Table], names: Sequence[str], baseline: str | None, results: Path) -> list[Table]:
    """The tables that hold two or more of the named rows (all that equal a card, where none is named), cut to them."""
    from petl_bench.leaderboard.board import with_methods

    asked = tuple(dict.fromkeys([*names, *([baseline] if baseline else [])]))
    if names:
        tables = with_methods(tables, asked, None, results)
    else:
        with_methods(tables, asked, None, results)
        shown = [tuple(row for row in t.rows if not row.name.variant or row.name.text == baseline) for t in tables]
        tables = [replace(table, rows=rows) for table, rows in zip(tables, shown, strict=True)]
    chosen = [
        table
        for table in tables
        if len(table.rows) > 1 and (baseline is None or baseline in {row.name.text for row in table.rows})
    ]
    if not chosen:
        what = " and ".join(asked) if len(asked) > 1 else "two methods"
        raise UserError(
            f"no table of {results} holds {what} under the same conditions; `petl-bench leaderboard` lists them"
        )
    return chosen


def _same_conditions(tables: Sequence[Table]) -> list[list[Table]]:
    """Tables of different benchmarks that share backbone and switches."""
    groups: dict[tuple[str, str], dict[str, list[Table]]] = {}
    for table in tables:
        key = table.spec.backbone, table.spec.switches.model_dump_json()
        groups.setdefault(key, {}).setdefault(table.benchmark, []).append(table)
    return [
        [its[0] for its in group.values()] for group in groups.values() if all(len(its) == 1 for its in group.values())
    ]
