"""Every run's score: a strip per method, a colour per fold, beside the mean and its interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from petl_bench.leaderboard.figures.style import (
    COLOURS,
    MARKERS,
    STYLE,
    Wanted,
    add_legend,
    headed,
    lines_of,
    reach,
    wrapped,
)
from petl_bench.leaderboard.report import report
from petl_bench.leaderboard.tables import Table
from petl_bench.wording import count

MOST_NAMED = 20
"""Folds that the legend names."""
SPREAD = 0.5
"""Of a row's height, between the first fold and the last."""


def draw(table: Table, wanted: Wanted) -> Iterator[tuple[str, Figure]]:
    """One figure of all rows, the best on top. Raises UserError where a table's runs do not fit together."""
    order = [row for row in report(table)["rows"] if row["score"] is not None][::-1]
    runs = {row.name.text: row.runs for row in table.rows}
    metric, folds = table.spec.data.metric, sorted({run.record.spec.fold for run in table.runs})
    with mpl.rc_context(STYLE):
        names = [row["method"] for row in order]
        figure = Figure(figsize=(7.6, 1.7 + 0.42 * len(order) * max(1.0, 0.4 * lines_of(names))), layout="constrained")
        panel = figure.subplots()
        for at, row in enumerate(order):
            for run in runs[row["method"]]:
                fold = folds.index(run.record.spec.fold)
                height = at + SPREAD * (fold / max(1, len(folds) - 1) - 0.5) * (len(folds) > 1)
                score = 100 * run.record.train_info.metrics["test"][metric]
                panel.plot(score, height, **_look(fold), ms=4, alpha=0.7, ls="", mew=0)
            if row["low"] is not None:
                ends = reach(row, "score")
                panel.errorbar(100 * row["score"], at, xerr=ends, fmt="|", ms=16, color="0.15", capsize=3, lw=1)
        panel.set_yticks(range(len(order)), wrapped(names))
        panel.set_ylim(-0.7, len(order) - 0.3)
        panel.grid(visible=False, axis="y")
        panel.set_xlabel(f"test {metric.replace('_', ' ')}, %; black: mean and 95% interval")
        if len(folds) > 1:
            handles = [Line2D([], [], ls="", ms=4, **_look(at), label=f"fold {fold}") for at, fold in enumerate(folds)]
            add_legend(figure, handles[:MOST_NAMED], 7)
        headed(figure, f"{wanted.title}: a point per run, {count(len(table.seeds), 'seed')}")
    yield "", figure


def _look(fold: int) -> dict[str, Any]:
    return {"color": COLOURS[fold % len(COLOURS)], "marker": MARKERS[(fold + fold // len(COLOURS)) % len(MARKERS)]}
