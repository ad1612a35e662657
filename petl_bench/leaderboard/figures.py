"""Figures, drawn with matplotlib: how training loss and validation accuracy of every fold went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from petl_bench.files import whole_file

PER_ROW = 3
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind readers can tell apart."""
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "petl-bench",
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Curve:
    """The epochs of one run."""

    method: str
    fold: int
    seed: int
    epochs: Sequence[dict[str, Any]]


def convergence(curves: Sequence[Curve], title: str) -> Figure:
    """One panel per fold: training loss (dashed, left) and validation accuracy in percent (solid, right) by epoch.

    A thin line per seed, a colour per method.
    """
    folds = sorted({curve.fold for curve in curves})
    methods = list(dict.fromkeys(curve.method for curve in curves))
    columns = min(PER_ROW, len(folds))
    rows = -(-len(folds) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * columns + 1, 2.6 * rows + 1.1), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flatten().tolist()
        twins = [_twin(axis) for axis in axes]
        for twin in twins[1:]:
            twin.sharey(twins[0])
        for at, fold in enumerate(folds):
            _panel(axes[at], twins[at], [curve for curve in curves if curve.fold == fold], methods)
            axes[at].set_title(f"fold {fold}", loc="left", fontsize=9)
            if at % columns == 0:
                axes[at].set_ylabel("training loss (dashed)")
            if at % columns == columns - 1 or at == len(folds) - 1:
                twins[at].set_ylabel("validation accuracy, % (solid)")
            else:
                twins[at].tick_params(labelright=False)
            if at + columns >= len(folds):
                axes[at].set_xlabel("epoch")
                axes[at].tick_params(labelbottom=True)
        for axis, twin in zip(axes[len(folds) :], twins[len(folds) :], strict=True):
            axis.set_visible(False)
            twin.set_visible(False)
        handles = [mpl.lines.Line2D([], [], color=_colour(at), label=name) for at, name in enumerate(methods)]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(methods)))
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG; equal figures give equal files."""
    paths = []
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        path = folder / f"{name}.{suffix}"
        with whole_file(path) as temporary, mpl.rc_context(STYLE):
            figure.savefig(temporary, format=suffix, dpi=150, metadata=metadata)
        paths.append(path)
    return paths


def _twin(axis: Axes) -> Axes:
    twin = axis.twinx()
    twin.spines["right"].set_visible(True)
    twin.grid(visible=False)
    return twin


def _panel(losses: Axes, accuracies: Axes, curves: Sequence[Curve], methods: Sequence[str]) -> None:
    for curve in curves:
        colour = _colour(methods.index(curve.method))
        epochs = [epoch["epoch"] for epoch in curve.epochs]
        losses.plot(epochs, [epoch["train_loss"] for epoch in curve.epochs], color=colour, lw=1, ls="--", alpha=0.7)
        accuracy = [100 * epoch["validation_accuracy"] for epoch in curve.epochs]
        accuracies.plot(epochs, accuracy, color=colour, lw=1.2, marker="." if len(epochs) < 3 else None)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
