"""The leaderboard on a terminal: a table per set of conditions, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from petl_bench.cli._layout import Columns, grid, next_step, note, results_flag, say
from petl_bench.leaderboard.pages import conditions, notes, percent, plus_minus, published, thousands, title
from petl_bench.leaderboard.report import Data

COLUMNS: Columns = {
    "score, %": lambda row: percent(row["score"]),
    "±95%": plus_minus,
    "": lambda row: row["letters"] or ("†" if row["not_worse_than_best"] else ""),
    "trained": lambda row: thousands(row["adapted_parameters"]) + (" ◆" if row["on_front"] else "  "),
    "share": lambda row: f"{100 * row['share']:.2f}%",
    "s/run": lambda row: f"{row['seconds']:.1f}",
    "runs": lambda row: f"{row['runs']}/{row['expected_runs']}",
}
LETTERS = "rows that share a letter are not significantly different (Holm over all pairs)"
DAGGER = "†: not significantly worse than the best (Holm over all pairs)"
FRONT = "◆: no other row scores as high with fewer trained parameters (all but the head)"


def print_board(reports: Sequence[Data], problems: Sequence[str], results: Path) -> None:
    """All tables, what was left out, and what to do next."""
    for report in reports:
        say(title(report))
        say(conditions(report))
        print()
        grid(report["rows"], COLUMNS)
        for text in [
            *marks(report["rows"]),
            *[FRONT] * any(row["on_front"] for row in report["rows"]),
            *_published(report),
            *notes(report),
        ]:
            note(text)
        print()
    for problem in problems:
        typer.echo(f"petl-bench: left out: {problem}", err=True)
    where = results_flag(results)
    if not reports:
        next_step("petl-bench run --methods linear,lora --dataset synthetic" + where)
    elif any(len(report["rows"]) > 1 for report in reports):
        next_step(f"petl-bench compare{where}", f"petl-bench leaderboard{where} --html")
    else:
        next_step(f"petl-bench leaderboard{where} --html")


def marks(rows: Sequence[Data]) -> list[str]:
    """What the marks beside scores mean, where there are any."""
    if not any(row["not_worse_than_best"] for row in rows):
        return []
    return [LETTERS if any(row["letters"] for row in rows) else DAGGER]


def _published(report: Data) -> list[str]:
    return [
        f"published, {row['method']}: {'; '.join(map(published, row['published']))}"
        for row in report["rows"]
        if row["published"]
    ]
