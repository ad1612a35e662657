"""The summary on a terminal: scores, then parameters by role, in 80 columns; and the notes a reader needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from petl_bench.cli._options import count
from petl_bench.errors import UserError
from petl_bench.leaderboard.pages import ROLES, thousands
from petl_bench.leaderboard.parts import notes_on_parts
from petl_bench.leaderboard.summary import summary
from petl_bench.plan import Plan
from petl_bench.records import RunRecord, read_record
from petl_bench.results import ResultsTree
from petl_bench.switches import describe_switches, profile_of

Cell = Callable[[dict[Any, Any]], str]


def print_summary(console: Console, plan: Plan, tree: ResultsTree, metric: str, notes: Sequence[str]) -> None:
    """The tables of the plan's runs, read back from the results tree, and what a reader must know of them."""
    records = _records(plan, tree)
    frame = summary(records, [(run.method, run.key) for run in plan], metric)
    lines = [f"\n{plan[0].benchmark}, backbone {plan[0].backbone}: test {metric.replace('_', ' ')}, percent"]
    if (profile := profile_of(plan[0].spec.switches)) != "corrected":
        lines[0] += f", profile {profile}"
    limits = {record.meta_info.dataset_info["limit"] for record in records} - {None}
    if limits:
        lines[0] += f" (partial: at most {count(max(limits), 'clip')} per class and fold)"
    _print(console, lines)
    console.print(_table(frame, _score_columns()))
    if records:
        _print(console, ["\ntrained parameters"])
        console.print(_table(frame, _parameter_columns(frame)))
        console.print()
    remarks = [run.remark for run in plan if run.remark]
    reading = _reading(plan, records, frame)
    _print(console, [f"- {note}" for note in dict.fromkeys([*notes, *remarks, *reading, f"records: {tree.root}"])])


def _records(plan: Plan, tree: ResultsTree) -> list[RunRecord]:
    folders = tree.run_folders()
    records = []
    for key in dict.fromkeys(run.key for run in plan):
        if key in folders:
            try:
                records.append(read_record(folders[key]))
            except UserError:
                continue  # counted as missing, under the table and by the next run of the command
    return records


def _score_columns() -> dict[str, Cell]:
    return {
        "mean": lambda row: f"{100 * row['score']:.2f}",
        "fold sd": lambda row: "-" if pd.isna(row["fold_sd"]) else f"{100 * row['fold_sd']:.2f}",
        "runs": lambda row: f"{row['runs']}/{row['expected']}",
        "adapted": lambda row: thousands(row["adapted_parameters"]),
        "share": lambda row: f"{100 * row['share']:.2f}%",
        "s/run": lambda row: f"{row['seconds']:.1f}",
    }


def _parameter_columns(frame: pd.DataFrame) -> dict[str, Cell]:
    """One column per role that some method trains, and the count as the literature prints it."""
    roles = [role for role in ROLES if frame[role].sum() > 0]
    columns: dict[str, Cell] = {role: _role_cell(role) for role in roles}
    return columns | {"as published": lambda row: thousands(row["published_count"])}


def _role_cell(role: str) -> Cell:
    return lambda row: thousands(row[role])


def _table(frame: pd.DataFrame, columns: dict[str, Cell]) -> Table:
    """The method's name folds where it is long; a row without runs has only their number."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("method", overflow="fold", min_width=min(24, int(frame["method"].str.len().max())))
    for head in columns:
        table.add_column(head, justify="right", no_wrap=True)
    for row in frame.to_dict("records"):
        cells = [cell(row) if row["runs"] or head == "runs" else "-" for head, cell in columns.items()]
        table.add_row(escape(str(row["method"])), *cells)
    return table


def _reading(plan: Plan, records: Sequence[RunRecord], frame: pd.DataFrame) -> list[str]:
    notes, rows = [], frame.to_dict("records")
    if profile_of(plan[0].spec.switches) == "custom":
        notes.append(f"profile custom: {describe_switches(plan[0].spec.switches)}")
    if records:
        info = records[0]
        sizes = ", ".join(f"{number:,} {part}" for part, number in info.meta_info.dataset_info["clips"].items())
        notes.append(f"clips in fold {info.spec.fold}: {sizes}")
    notes.append("mean over folds, fold sd between folds (ddof 1); adapted: all that trains but the head")
    notes.append("as published: without head and final norm, with what the literature's code trains in vain")
    if redundant := [f"{row['method']} {row['redundant']:,.0f}" for row in rows if row.get("redundant", 0) > 0]:
        notes.append(f"trained, but unable to change a training loss: {', '.join(redundant)} parameters")
    seeds = len({run.spec.seed for run in plan})
    if seeds < 3:
        notes.append(f"{count(seeds, 'seed')}: too few to test differences well; --seeds 0-2 gives three")
    notes += notes_on_parts(records)
    if (frame["runs"] < frame["expected"]).any():
        notes.append("runs are missing: the means are over what there is")
    return notes


def _print(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(escape(line), highlight=False, soft_wrap=True)
