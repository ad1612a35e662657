"""A comparison as a user asks for it: which tables and rows of a results tree, against what, within which margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from petl_bench.errors import UserError, nearest
from petl_bench.leaderboard.board import equal_to_no_card, failed_runs, of_cards, read_tables, tell_apart, with_methods
from petl_bench.leaderboard.differences import differences, mean_rank_of, over_datasets
from petl_bench.leaderboard.report import Data, report
from petl_bench.leaderboard.tables import Across, Table
from petl_bench.stats.engine import incompleteness


@dataclass(frozen=True)
class Compared:
    """Reports of tables with their ``comparisons``, what holds over data sets, and a line for all that was left out."""

    tables: list[Data]
    over_datasets: list[Data]
    left_out: list[str]


def compare_rows(
    results: Path,
    names: Sequence[str] = (),
    *,
    datasets: Sequence[str] = (),
    backbone: str | None = None,
    profile: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
    across: Across | None = None,
) -> Compared:
    """Compare named rows (all that equal a card, where none is named) in every table that holds two or more of them.

    ``margin`` is in points. Raises UserError where there are no such runs.
    """
    if margin is not None and not 0 < margin < 100:
        raise UserError(f"--margin {margin:g}: give points between 0 and 100, for example 1.0")
    tables, problems = read_tables(results, across)
    for option, value, there in (
        ("--backbone", backbone, {name for table in tables for name in table.backbone.split(", ")}),
        ("--profile", profile, {name for table in tables for name in table.profile.split(", ")}),
        *(("--dataset", name, {table.benchmark for table in tables}) for name in datasets),
    ):
        if value is not None and value not in there:
            known = f"there are {', '.join(sorted(there))}" if there else "there are no runs"
            raise UserError(f"{option} {value}: no such runs in {results}{nearest(value, there)}; {known}")
    tables = [
        table
        for table in tables
        if (not datasets or table.benchmark in datasets)
        and backbone in (None, table.backbone)
        and profile in (None, table.profile)
    ]
    chosen = _chosen(tables, names, baseline, results)
    problems += [] if names else _variants(tables, baseline)
    lacking = _without_baseline(chosen, baseline)
    if len(lacking) == len(chosen):
        raise UserError(f"--baseline {baseline}: nothing can be compared with it on {', '.join(lacking.values())}")
    problems += [f"{where}: nothing can be compared with {baseline}" for where in lacking.values()]
    chosen = [table for at, table in enumerate(chosen) if at not in lacking]
    share = None if margin is None else margin / 100
    compared = [{**report(table), "comparisons": differences(table, baseline, share)} for table in chosen]
    tell_apart(compared, {data["table"]: table.conditions for data, table in zip(compared, chosen, strict=True)})
    together = [
        {"pairs": rows, "mean_ranks": mean_rank_of(group)}
        for group in _same_conditions(chosen)
        if (rows := over_datasets(group, baseline))
    ]
    return Compared(compared, together, [*problems, *failed_runs(results)])


def _variants(tables: Sequence[Table], baseline: str | None) -> list[str]:
    """A line for every table with configurations that are compared only where they are named."""
    lines = []
    for table in tables:
        left_out = sum(row.name.variant and row.name.text != baseline for row in table.rows)
        if left_out:
            hidden = equal_to_no_card(left_out)
            lines.append(f"{table.benchmark}, backbone {table.backbone}: {hidden} (name what to compare)")
    return lines


def _chosen(tables: Sequence[Table], names: Sequence[str], baseline: str | None, results: Path) -> list[Table]:
    """The tables that hold two or more of the named rows (all that equal a card, where none is named), cut to them."""
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
    if not chosen:
        what = " and ".join(asked) if len(asked) > 1 else "two methods"
        raise UserError(
            f"no table of {results} holds {what} under the same conditions; `petl-bench leaderboard` lists them"
        )
    return chosen


def _without_baseline(tables: Sequence[Table], baseline: str | None) -> dict[int, str]:
    """Tables, by position, whose baseline has not all of its runs, and why nothing is compared with it there."""
    return {
        at: f"{table.benchmark} ({why})"
        for at, table in enumerate(tables)
        for row in table.rows
        if row.name.text == baseline and (why := incompleteness(row.scores, table.folds))
    }


def _same_conditions(tables: Sequence[Table]) -> list[list[Table]]:
    """Tables of different benchmarks that share backbone and switches."""
    groups: dict[tuple[str, str], dict[str, list[Table]]] = {}
    for table in tables:
        key = table.spec.backbone, table.spec.switches.model_dump_json()
        groups.setdefault(key, {}).setdefault(table.benchmark, []).append(table)
    return [
        [its[0] for its in group.values()] for group in groups.values() if all(len(its) == 1 for its in group.values())
    ]
