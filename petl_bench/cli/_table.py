"""The summary on a terminal: scores, then parameters by role, in 80 columns; and the notes a reader needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from petl_bench.cli._layout import Columns, grid, next_step, note, results_flag, say
from petl_bench.errors import UserError
from petl_bench.leaderboard.pages import ROLES, thousands
from petl_bench.leaderboard.summary import summary
from petl_bench.leaderboard.training_notes import notes_on_training
from petl_bench.plan import Plan
from petl_bench.records import RunRecord, read_record
from petl_bench.results import ResultsTree
from petl_bench.switches import describe_switches, profile_of
from petl_bench.wording import count


def print_summary(plan: Plan, tree: ResultsTree, metric: str, notes: Sequence[str]) -> None:
    """The tables of the plan's runs, read back from the results tree, and what a reader must know of them."""
    records = _records(plan, tree)
    frame = summary(records, [(run.method, run.key) for run in plan], metric)
    line = f"{plan[0].benchmark}, backbone {plan[0].backbone}: test {metric.replace('_', ' ')}, percent"
    if (profile := profile_of(plan[0].spec.switches)) != "corrected":
        line += f", profile {profile}"
    limits = {record.meta_info.dataset_info["limit"] for record in records} - {None}
    if limits:
        line += f" (partial: at most {count(max(limits), 'clip')} per class and fold)"
    print()
    say(line)
    rows = frame.to_dict("records")
    grid(rows, _where_run(_score_columns()), head="method")
    if records:
        print("trained parameters")
        grid(rows, _where_run(_parameter_columns(frame)), head="method")
    remarks = [run.remark for run in plan if run.remark]
    for text in dict.fromkeys([*notes, *remarks, *_reading(plan, records, frame), f"records: {tree.root}"]):
        note(text)
    _what_next(plan, tree)


def _what_next(plan: Plan, tree: ResultsTree) -> None:
    where = results_flag(tree.root)
    whole = len({run.spec.fold for run in plan}) == plan[0].spec.data.protocol.folds
    if whole and len({run.method for run in plan}) > 1:
        next_step(f"petl-bench compare --dataset {plan[0].benchmark}{where}")
    else:
        next_step(f"petl-bench leaderboard{where}")


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


def _score_columns() -> Columns:
    return {
        "mean": lambda row: f"{100 * row['score']:.2f}",
        "fold sd": lambda row: "-" if pd.isna(row["fold_sd"]) else f"{100 * row['fold_sd']:.2f}",
        "runs": lambda row: f"{row['runs']}/{row['expected']}",
        "adapted": lambda row: thousands(row["adapted_parameters"]),
        "share": lambda row: f"{100 * row['share']:.2f}%",
        "s/run": lambda row: f"{row['seconds']:.1f}",
    }


def _parameter_columns(frame: pd.DataFrame) -> Columns:
    """One column per role that some method trains, and the count as the literature prints it."""
    roles = [role for role in ROLES if frame[role].sum() > 0]
    columns: Columns = {role: _role_cell(role) for role in roles}
    return columns | {"as published": lambda row: thousands(row["published_count"])}


def _role_cell(role: str) -> Callable[[Any], str]:
    return lambda row: thousands(row[role])


def _where_run(columns: Columns) -> Columns:
    """A row without runs has only their number."""
    return {head: _or_dash(head, cell) for head, cell in columns.items()}


def _or_dash(head: str, cell: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda row: cell(row) if row["runs"] or head == "runs" else "-"


def _by_method(plan: Plan, records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    by_key = {record.run_info.run_key: record for record in records}
    rows: dict[str, list[RunRecord]] = {}
    for run in plan:
        if run.key in by_key:
            rows.setdefault(run.method, []).append(by_key[run.key])
    return rows


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
    if redundant := [f"{row['method']} {row['redundant']:,.0f}" for row in rows if (row.get("redundant") or 0) > 0]:
        notes.append(f"trained, but unable to change a training loss: {', '.join(redundant)} parameters")
    folds, of = len({run.spec.fold for run in plan}), plan[0].spec.data.protocol.folds
    if folds < of:
        notes.append(f"{folds} of {of} folds: run the others too, before methods are compared")
    seeds = len({run.spec.seed for run in plan})
    if seeds < 3:
        notes.append(f"{count(seeds, 'seed')}: too few to test differences well; --seeds 0-2 gives three")
    notes += notes_on_training(_by_method(plan, records))
    if (frame["runs"] < frame["expected"]).any():
        notes.append("runs are missing: the means are over what there is")
    return notes
