"""The summary table on a terminal: 80 columns, and the notes a reader needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from petl_bench.cli._options import count
from petl_bench.leaderboard.summary import summary
from petl_bench.plan import Plan, Request
from petl_bench.results import ResultsTree, read_record

ROLES = {"adapter": "adapter", "bias": "bias", "norm": "norm", "backbone": "model", "head": "head"}
"""Parameter roles and their column heads; a role no method trains has no column."""


def print_summary(
    console: Console, plan: Plan, tree: ResultsTree, metric: str, notes: Sequence[str], request: Request
) -> None:
    """The table of the plan's runs, read back from the results tree, and what a reader must know of it."""
    folders = tree.run_folders()
    records = [read_record(folders[key]) for key in dict.fromkeys(run.key for run in plan) if key in folders]
    frame = summary(records, [(run.method, run.key) for run in plan], metric)
    first = plan[0]
    partial = f" (partial: at most {count(request.limit, 'clip')} per class and fold)" if request.limit else ""
    lines = [f"\n{first.benchmark}, backbone {first.backbone}: test {metric.replace('_', ' ')}, percent{partial}"]
    console.print(*map(escape, lines), highlight=False, soft_wrap=True)
    console.print(_table(frame))
    for note in [*notes, *_reading(request, frame), f"records: {tree.root}"]:
        console.print(escape(f"- {note}"), highlight=False, soft_wrap=True)


def _table(frame: pd.DataFrame) -> Table:
    roles = [role for role in ROLES if role in frame and frame[role].sum() > 0]
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("method")
    for head in ("mean", "fold sd", "runs", "adapted", "share", *(ROLES[role] for role in roles), "s/run"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in frame.to_dict("records"):
        table.add_row(escape(str(row["method"])), *_cells(row, roles))
    return table


def _cells(row: dict[Any, Any], roles: Sequence[str]) -> list[str]:
    runs = f"{row['runs']}/{row['expected']}"
    if not row["runs"]:
        return ["-", "-", runs, *["-"] * (len(roles) + 3)]
    return [
        f"{100 * row['score']:.2f}",
        "-" if pd.isna(row["fold_sd"]) else f"{100 * row['fold_sd']:.2f}",
        runs,
        _thousands(row["adapted_parameters"]),
        f"{100 * row['share']:.2f}%",
        *(_thousands(row[role]) for role in roles),
        f"{row['seconds']:.1f}",
    ]


def _reading(request: Request, frame: pd.DataFrame) -> list[str]:
    notes = ["mean over folds, fold sd between folds (ddof 1); adapted: all that trains but the head"]
    if len(request.seeds) < 3:
        seeds = count(len(request.seeds), "seed")
        notes.append(f"{seeds}: too few to test differences well; --seeds 0-2 gives three")
    if (frame["runs"] < frame["expected"]).any():
        notes.append("runs are missing: the means are over what there is")
    return notes


def _thousands(number: float) -> str:
    """A parameter count in at most six characters: 1,536, 98.3K, 85.7M."""
    if number < 10_000:
        return f"{int(number):,}"
    return f"{number / 1e3:.1f}K" if number < 999_950 else f"{number / 1e6:.1f}M"
