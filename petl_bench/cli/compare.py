"""``petl-bench compare``: differences between methods with intervals, tests and verdicts in words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petl_bench.cli._options import Json, Results, read_names
from petl_bench.errors import UserError, nearest

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
    """Compare methods: differences, intervals, verdicts."""
    if margin is not None and not 0 < margin < 100:
        raise UserError(f"--margin {margin:g}: give points between 0 and 100, for example 1.0")
    from petl_bench.leaderboard.board import failed_runs, read_tables, tell_apart
    from petl_bench.leaderboard.differences import differences, mean_rank_of, over_datasets
    from petl_bench.leaderboard.report import report

    tables, problems = read_tables(results, across)
    for option, value, there in (
        ("--backbone", backbone, {name for table in tables for name in table.backbone.split(", ")}),
        ("--profile", profile, {name for table in tables for name in table.profile.split(", ")}),
        *(("--dataset", name, {table.benchmark for table in tables}) for name in _split(dataset)),
    ):
        if value is not None and value not in there:
            known = f"there are {', '.join(sorted(there))}" if there else "there are no runs"
            raise UserError(f"{option} {value}: no such runs in {results}{nearest(value, there)}; {known}")
    tables = [
        table
        for table in tables
        if (dataset is None or table.benchmark in _split(dataset))
        and backbone in (None, table.backbone)
        and profile in (None, table.profile)
    ]
    chosen = _chosen(tables, names or (), baseline, results)
    problems += [] if names else _variants(tables, baseline)
    share = None if margin is None else margin / 100
    compared = [{**report(table), "comparisons": differences(table, baseline, share)} for table in chosen]
    tell_apart(compared, {data["table"]: table.conditions for data, table in zip(compared, chosen, strict=True)})
    together = [
        {"pairs": rows, "mean_ranks": mean_rank_of(group)}
        for group in _same_conditions(chosen)
        if (rows := over_datasets(group, baseline))
    ]
    problems += failed_runs(results)
    if as_json:
        data = {"tables": compared, "over_datasets": together, "left_out": problems}
        print(json.dumps(data, indent=1, allow_nan=False))
        return
    from petl_bench.cli._compared import print_over_datasets, print_table
    from petl_bench.cli._layout import next_step, results_flag

    for table_data in compared:
        print_table(table_data, margin=margin, verbose=verbose)
    for group_data in together:
        print_over_datasets(group_data, compared)
    for problem in problems:
        typer.echo(f"petl-bench: left out: {problem}", err=True)
    against = f" --baseline {shlex.quote(baseline)}" if baseline else ""
    next_step(f"petl-bench plot differences{against}{results_flag(results)}")


def _variants(tables: Sequence[Table], baseline: str | None) -> list[str]:
    """A line for every table with configurations that are compared only where they are named."""
    lines = []
    for table in tables:
        left_out = sum(row.name.variant and row.name.text != baseline for row in table.rows)
        if left_out:
            what = f"{left_out} configuration{'s that equal' if left_out > 1 else ' that equals'} no card"
            lines.append(f"{table.benchmark}, backbone {table.backbone}: {what} (name what to compare)")
    return lines


def _split(dataset: str | None) -> tuple[str, ...]:
    return read_names("--dataset", dataset) if dataset else ()


def _chosen(tables: Sequence[Table], names: Sequence[str], baseline: str | None, results: Path) -> list[Table]:
    """The tables that hold two or more of the named rows (all that equal a card, where none is named), cut to them."""
    from petl_bench.leaderboard.board import of_cards, with_methods
    from petl_bench.stats.engine import incompleteness

    asked = tuple(dict.fromkeys([*names, *([baseline] if baseline else [])]))
    if names:
        tables = with_methods(tables, asked, None, results)
    else:
        with_methods(tables, asked, None, results)
        tables = of_cards(tables, baseline)
    chosen = [
        table
        for table in tables
        if len(table.rows) > 1 and (baseline is None or baseline in {row.name.text for row in table.rows})
    ]
    incomplete = [
        f"{table.benchmark} ({why})"
        for table in chosen
        for row in table.rows
        if row.name.text == baseline and (why := incompleteness(row.scores, table.folds))
    ]
    if incomplete:
        raise UserError(f"--baseline {baseline}: nothing can be compared with it on {', '.join(incomplete)}")
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
