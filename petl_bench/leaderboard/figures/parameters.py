"""Score against trained parameters, with intervals and the Pareto front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from petl_bench.errors import UserError
from petl_bench.leaderboard.figures.style import COLOURS, STYLE, Wanted, headed, label_points, reach
from petl_bench.leaderboard.pages import thousands
from petl_bench.leaderboard.report import Data, report
from petl_bench.leaderboard.tables import Table

FEW_DECADES = 30
ROOM = 2.5
"""Between the outermost points and the edges, as a factor: names stand there."""


def draw(table: Table, wanted: Wanted) -> Iterator[tuple[str, Figure]]:
    """One figure of all rows that have a score. Raises UserError where a table's runs do not fit together."""
    rows = [row for row in report(table)["rows"] if row["score"] is not None]
    if not rows:
        raise UserError("no row has a score")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        panel = figure.subplots()
        counts = [row["adapted_parameters"] for row in rows]
        none = 10 ** np.floor(np.log10(min((count for count in counts if count), default=10.0)) - 1)
        across = [_x(row, none) for row in rows]
        panel.set_xscale("log")
        panel.set_xlim(min(across) / ROOM, max(across) * ROOM)
        for x, row in zip(across, rows, strict=True):
            look: dict[str, Any] = {"color": COLOURS[1] if row["on_front"] else COLOURS[0]}
            look |= {"markerfacecolor": "white"} if row["incomplete"] else {}
            panel.errorbar(x, 100 * row["score"], yerr=reach(row, "score"), fmt="o", ms=5, capsize=2, lw=1, **look)
        front = sorted((_x(row, none), 100 * row["score"]) for row in rows if row["on_front"])
        panel.step([x for x, _ in front], [y for _, y in front], where="post", lw=1.2, color=COLOURS[1], zorder=1)
        panel.margins(y=0.12)
        few = max(across) / min(across) < FEW_DECADES
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
        ticks = FuncFormatter(lambda x, _: "0" if x <= none else thousands(x).replace(".0", ""))
        panel.xaxis.set_major_formatter(ticks)
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xlabel("trained parameters, all but the head")
        panel.set_ylabel(f"test {table.spec.data.metric.replace('_', ' ')} and 95% interval, %")
        headed(figure, f"{wanted.title}: the line is the Pareto front")
        first = sorted(rows, key=lambda row: (not row["on_front"], -row["score"]))
        label_points(panel, [(_x(row, none), 100 * row["score"], row["method"]) for row in first])
    yield "", figure


def _x(row: Data, none: float) -> float:
    """Where a count stands on a logarithmic axis; 0 a decade below all others."""
    return float(row["adapted_parameters"] or none)
