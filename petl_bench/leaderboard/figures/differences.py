"""A forest plot: differences of methods with 95% intervals, adjusted p-values, and the margin where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from petl_bench.errors import UserError
from petl_bench.leaderboard.differences import differences
from petl_bench.leaderboard.figures.style import STYLE, Wanted, add_legend, headed, lines_of, reach, wrapped
from petl_bench.leaderboard.pages import p_value
from petl_bench.leaderboard.report import Data
from petl_bench.leaderboard.tables import Table

MOST_ROWS = 120
VERDICTS = {"better": ("#0072B2", "o"), "worse": ("#D55E00", "s"), "": ("#6E6E6E", "D")}
"""Colour and marker; those of "" for all that is neither."""


def draw(table: Table, wanted: Wanted) -> Iterator[tuple[str, Figure]]:
    """One figure: each row against the baseline, or all pairs. Raises UserError: nothing to compare, or too much."""
    rows = differences(table, wanted.baseline, None if wanted.margin is None else wanted.margin / 100)
    rows = sorted((row for row in rows if row["difference"] is not None), key=lambda row: row["difference"])
    if not rows:
        raise UserError("no two complete methods to compare")
    if len(rows) > MOST_ROWS:
        raise UserError(f"{len(rows)} pairs are too many for a figure: name methods or a --baseline")
    with mpl.rc_context(STYLE):
        names = [_name(row, wanted) for row in rows]
        height = 1.7 + 0.24 * len(rows) * max(1.0, 0.7 * lines_of(names))
        figure = Figure(figsize=(9.0, height), layout="constrained")
        panel, words = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2.2))
        panel.axvline(0, color="0.3", lw=0.8)
        if wanted.margin is not None:
            panel.axvspan(-wanted.margin, wanted.margin, color="#009E73", alpha=0.12, lw=0)
        for at, row in enumerate(rows):
            colour, marker = VERDICTS.get(_word(row), VERDICTS[""])
            panel.errorbar(
                100 * row["difference"], at, xerr=reach(row, "difference"), fmt=marker, ms=5, capsize=2, color=colour
            )
            words.text(0, at, _said(row), va="center", fontsize=8, family="monospace")
        panel.set_yticks(range(len(rows)), wrapped(names))
        panel.set_ylim(-0.7, len(rows) - 0.3)
        panel.set_xlabel("difference, points, with its own 95% interval; colours after Holm")
        words.set_title("points   95% interval     p Holm", loc="left", fontsize=8, family="monospace", x=0)
        words.set_axis_off()
        against = f" against {wanted.baseline}" if wanted.baseline else ", all pairs"
        margin = f"; green: within {wanted.margin:g} points" if wanted.margin is not None else ""
        headed(figure, f"{wanted.title}{against}{margin}")
        there = dict.fromkeys(_word(row) if _word(row) in VERDICTS else "" for row in rows[::-1])
        handles = [
            Line2D([], [], ls="", color=VERDICTS[word][0], marker=VERDICTS[word][1], ms=5, label=word or "inconclusive")
            for word in there
        ]
        add_legend(figure, handles, 8)
    yield "", figure


def _name(row: Data, wanted: Wanted) -> str:
    return str(row["method"]) if wanted.baseline else f"{row['method']} - {row['reference']}"


def _word(row: Data) -> str:
    """``better``, ``worse``, or another verdict."""
    return str(row["verdict"]).partition(":")[0].partition(" ")[0]


def _said(row: Data) -> str:
    interval = "-" if row["low"] is None else f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}"
    return f"{100 * row['difference']:+6.2f}  {interval:<17} {p_value(row['p_holm'])}"
