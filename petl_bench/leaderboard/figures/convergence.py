"""How training loss and validation accuracy of every fold went, by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from petl_bench.errors import UserError
from petl_bench.leaderboard.figures.style import COLOURS, STYLE, Wanted, add_legend, headed, plain
from petl_bench.leaderboard.folds import read_epochs
from petl_bench.leaderboard.tables import Table

LINES = ("-", "--", ":", "-.")
MOST_FOLDS = 50
PER_ROW = 5


@dataclass(frozen=True)
class Curve:
    """The epochs of one run."""

    method: str
    fold: int
    seed: int
    epochs: Sequence[dict[str, Any]]


def draw(table: Table, wanted: Wanted) -> Iterator[tuple[str, Figure]]:
    """One figure of all rows. Raises UserError where the epochs of a run are damaged."""
    curves = [
        Curve(row.name.text, run.record.spec.fold, run.record.spec.seed,
              read_epochs(wanted.folders[run.record.run_info.run_key]))
        for row in table.rows
        for run in row.runs
    ]  # fmt: skip
    if (folds := len({curve.fold for curve in curves})) > MOST_FOLDS:
        raise UserError(f"{folds} folds are too many for a figure")
    yield "", convergence(curves, wanted.title)


def convergence(curves: Sequence[Curve], title: str) -> Figure:
    """Training loss above validation accuracy in percent, by epoch; a column per fold.

    A line per seed, a colour per method.
    """
    folds = sorted({curve.fold for curve in curves})
    methods = list(dict.fromkeys(curve.method for curve in curves))
    columns = min(PER_ROW, len(folds))
    blocks = -(-len(folds) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.3 * columns + 1, 3.6 * blocks + 0.9), layout="constrained")
        axes = figure.subplots(2 * blocks, columns, squeeze=False, sharex=True)
        losses, accuracies = axes[0::2].flatten(), axes[1::2].flatten()
        for panels, label in ((losses, "training loss"), (accuracies, "validation accuracy, %")):
            for at, panel in enumerate(panels):
                panel.sharey(panels[0])
                panel.label_outer()
                panel.set_visible(at < len(folds))
                if at % columns == 0:
                    panel.set_ylabel(label)
        for at, fold in enumerate(folds):
            losses[at].set_title(f"fold {fold}", loc="left", fontsize=9)
            accuracies[at].set_xlabel("epoch")
            accuracies[at].xaxis.set_major_locator(MaxNLocator(integer=True))
            accuracies[at].tick_params(labelbottom=True)
            for curve in curves:
                if curve.fold == fold:
                    _draw(curve, losses[at], accuracies[at], _look(methods.index(curve.method)))
        handles = [Line2D([], [], label=plain(name), **_look(at)) for at, name in enumerate(methods)]
        add_legend(figure, handles, 2.3 * columns)
        headed(figure, title)
    return figure


def _look(method: int) -> dict[str, Any]:
    """Colour and, from the eighth method on, another kind of line."""
    return {"color": COLOURS[method % len(COLOURS)], "ls": LINES[method // len(COLOURS) % len(LINES)], "lw": 1.2}


def _draw(curve: Curve, losses: Axes, accuracies: Axes, look: dict[str, Any]) -> None:
    epochs = [epoch["epoch"] for epoch in curve.epochs]
    style = {**look, "alpha": 0.8, "marker": "." if len(epochs) < 3 else None}
    losses.plot(epochs, [epoch["train_loss"] for epoch in curve.epochs], **style)
    accuracies.plot(epochs, [100 * epoch["validation_accuracy"] for epoch in curve.epochs], **style)
