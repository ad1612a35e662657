"""How training loss and validation accuracy of every fold went, by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from petl_bench.leaderboard.figures.style import COLOURS, STYLE, Wanted, headed, plain, title_of
from petl_bench.leaderboard.folds import read_epochs
from petl_bench.leaderboard.tables import Table

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
    yield "", convergence(curves, title_of(table))


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
            accuracies[at].tick_params(labelbottom=True)
            for curve in curves:
                if curve.fold == fold:
                    _draw(curve, losses[at], accuracies[at], COLOURS[methods.index(curve.method) % len(COLOURS)])
        handles = [
            Line2D([], [], color=COLOURS[at % len(COLOURS)], label=plain(name)) for at, name in enumerate(methods)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(methods)))
        headed(figure, title)
    return figure


def _draw(curve: Curve, losses: Axes, accuracies: Axes, colour: str) -> None:
    epochs = [epoch["epoch"] for epoch in curve.epochs]
    style: dict[str, Any] = {"color": colour, "lw": 1.2, "alpha": 0.8, "marker": "." if len(epochs) < 3 else None}
    losses.plot(epochs, [epoch["train_loss"] for epoch in curve.epochs], **style)
    accuracies.plot(epochs, [100 * epoch["validation_accuracy"] for epoch in curve.epochs], **style)
