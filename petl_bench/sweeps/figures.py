"""The figure that fits a study: a curve for an ordered factor, a heat map for two or three, else points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator

from petl_bench.leaderboard.figures.style import COLOURS, MARKERS, STYLE
from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.describe import describe
from petl_bench.sweeps.answers import Cell, varying
from petl_bench.sweeps.card import SweepCard
from petl_bench.sweeps.grid import show


def figure_of(card: SweepCard, cells: Sequence[Cell]) -> Figure:
    """One panel per benchmark, and per arm of a curve."""
    factors = [name for name in varying(cells) if name != "benchmark"]
    ordered = card.question.ordered
    numeric = [cell for cell in cells if isinstance(cell.levels.get(ordered), int | float)]
    with mpl.rc_context(STYLE):
        if ordered in factors and numeric:
            others = [name for name in factors if name not in (ordered, "arm")]
            groups, lines = _grouped(numeric, ("benchmark", "arm")), _levels(numeric, others)
            figure, panels = _panels(len(groups), 4.2, 3.4 + 0.2 * len(lines))
            for panel, its in zip(panels, groups.values(), strict=True):
                _curve(panel, its, ordered, others, lines)
                panel.sharey(panels[0])
            if len(lines) > 1:
                figure.legend(handles=_legend(others, lines), loc="outside lower center", fontsize=7)
        elif len(factors) in (2, 3) and _is_full(cells, factors):
            rows, columns = _levels(cells, factors[:1]), _levels(cells, factors[1:])
            groups = _grouped(cells, ("benchmark",))
            figure, panels = _panels(len(groups), 1.6 + 1.25 * len(columns), 1.6 + 0.55 * len(rows))
            for panel, its in zip(panels, groups.values(), strict=True):
                _heat_map(panel, its, factors)
        else:
            groups = _grouped(cells, ("benchmark",))
            most = max(len(its) for its in groups.values())
            figure, panels = _panels(len(groups), 6.4, 1.1 + 0.27 * most)
            for panel, its in zip(panels, groups.values(), strict=True):
                _dots(panel, its, factors)
        for panel, title in zip(panels, groups, strict=True):
            panel.set_title(title, loc="left", fontsize=9)
    return figure


def _grouped(cells: Sequence[Cell], factors: Sequence[str]) -> dict[str, list[Cell]]:
    """Cells that share the levels of some factors, under these in words."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        name = ", ".join(show(cell.levels[factor]) for factor in factors if factor in cell.levels)
        groups.setdefault(name, []).append(cell)
    return groups


def _legend(factors: Sequence[str], lines: Sequence[tuple[str, ...]]) -> list[Line2D]:
    return [
        Line2D([], [], color=COLOURS[at % len(COLOURS)], marker=MARKERS[at % len(MARKERS)], ms=4, lw=1.2,
               label=", ".join(f"{n} {level}" for n, level in zip(factors, line, strict=True) if level != "null"))
        for at, line in enumerate(lines)
    ]  # fmt: skip


def _panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _levels(cells: Sequence[Cell], factors: Sequence[str]) -> list[tuple[str, ...]]:
    """The combinations of levels of some factors that there are, in order."""
    return list(dict.fromkeys(tuple(show(cell.levels.get(name)) for name in factors) for cell in cells))


def _is_full(cells: Sequence[Cell], factors: Sequence[str]) -> bool:
    """Whether more than half of all combinations of the factors' levels have runs."""
    sides = [len(_levels(cells, [name])) for name in factors]
    return min(sides) > 1 and len(_levels(cells, factors)) > 0.5 * int(np.prod(sides))


def _score(cell: Cell) -> tuple[float, float, float]:
    """Score, and how far its 95% interval reaches below and above, in percent; NaN and 0 where there is none."""
    described = describe(cell.scores)
    interval = described.interval
    if isinstance(described.score, NotAvailable):
        return float("nan"), 0.0, 0.0
    value = 100 * described.score
    if isinstance(interval, NotAvailable):
        return value, 0.0, 0.0
    return value, value - 100 * max(0.0, interval.low), 100 * min(1.0, interval.high) - value


def _curve(
    panel: Axes, cells: Sequence[Cell], factor: str, others: Sequence[str], lines: Sequence[tuple[str, ...]]
) -> None:
    """A line per combination of the other factors, a little beside one another so that intervals can be told apart."""
    values = sorted({float(cell.levels[factor]) for cell in cells})
    doublings = values[0] > 0 and values[-1] >= 4 * values[0]
    for at, line in enumerate(lines):
        its = [cell for cell in cells if _levels([cell], others)[0] == line]
        its.sort(key=lambda cell: float(cell.levels[factor]))
        shift = 0.05 * (at - (len(lines) - 1) / 2)
        x = np.array([float(cell.levels[factor]) for cell in its])
        x = x * 2**shift if doublings else x + shift * (values[-1] - values[0]) / len(values)
        scores = np.array([_score(cell) for cell in its]).reshape(-1, 3)
        panel.errorbar(x, scores[:, 0], scores[:, 1:].T, capsize=2, lw=1.2, ms=4, color=COLOURS[at % len(COLOURS)],
                       marker=MARKERS[at % len(MARKERS)], ls="-" if len(its) > 1 else "none")  # fmt: skip
    if doublings:
        panel.set_xscale("log", base=2)
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xticks(values, [f"{value:g}" for value in values])
    panel.set_xlabel(factor)
    panel.set_ylabel("test score and 95% interval, %")


def _heat_map(panel: Axes, cells: Sequence[Cell], factors: Sequence[str]) -> None:
    """First factor down, the others across; a combination without runs stays empty."""
    rows, columns = _levels(cells, factors[:1]), _levels(cells, factors[1:])
    scores = {_levels([cell], factors)[0]: _score(cell) for cell in cells}
    values = np.full((len(rows), len(columns)), np.nan)
    for (row, down), (column, across) in product(enumerate(rows), enumerate(columns)):
        if (*down, *across) in scores:
            values[row, column] = scores[*down, *across][0]
    panel.grid(visible=False)
    image = panel.imshow(values, cmap="viridis", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, down), (column, across) in product(enumerate(rows), enumerate(columns)):
        if (score := scores.get((*down, *across))) is not None:
            text = f"{score[0]:.1f}" + (f"\n±{(score[1] + score[2]) / 2:.1f}" if score[1] else "")
            panel.text(column, row, text, ha="center", va="center", fontsize=7,
                       color="black" if score[0] > middle else "white")  # fmt: skip
    panel.set_xticks(range(len(columns)), ["\n".join(column) for column in columns])
    panel.set_yticks(range(len(rows)), [row[0] for row in rows])
    panel.set_xlabel(", ".join(factors[1:]))
    panel.set_ylabel(factors[0])
    bar: Any = panel.figure.colorbar(image, ax=panel)
    bar.set_label("test score and 95% interval, %")


def _dots(panel: Axes, cells: Sequence[Cell], factors: Sequence[str]) -> None:
    """One line of the panel per combination, the first on top."""
    scores = np.array([_score(cell) for cell in cells])
    heights = np.arange(len(cells))[::-1]
    panel.errorbar(scores[:, 0], heights, xerr=scores[:, 1:].T, fmt="o", color=COLOURS[0], capsize=2, ms=4)
    labels = [", ".join(show(c.levels[name]) for name in factors if name in c.levels) for c in cells]
    panel.set_yticks(heights, labels)
    panel.set_ylim(-0.7, len(cells) - 0.3)
    panel.set_xlabel("test score and 95% interval, %")
