"""Which classes are taken for which: a matrix per method over all test clips and runs, with each class's recall."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from petl_bench.index import NOT_FINITE
from petl_bench.leaderboard.figures.style import COLOURS, STYLE, Wanted, headed, plain
from petl_bench.leaderboard.names import visible
from petl_bench.leaderboard.tables import Row, Table
from petl_bench.wording import count

MOST_NUMBERS = 15
"""Classes up to which every cell says its number."""


def draw(table: Table, wanted: Wanted) -> Iterator[tuple[str, Figure]]:
    """A figure per row."""
    for row in table.rows:
        yield row.name.text, _figure(row, wanted)


def confusion(row: Row) -> npt.NDArray[np.int64]:
    """How often clips of a class (first axis) were taken for another (second), over all runs, ``[classes, classes]``.

    Clips with logits that are not finite were taken for nothing.
    """
    classes = row.runs[0].record.spec.data.class_count
    counts = np.zeros((classes, classes), dtype=np.int64)
    for run in row.runs:
        said = run.predicted != NOT_FINITE
        np.add.at(counts, (run.clips.targets[said], run.predicted[said]), 1)
    return counts


def _figure(row: Row, wanted: Wanted) -> Figure:
    counts = confusion(row)
    classes = len(counts)
    given = row.runs[0].record.meta_info.dataset_info.get("class_names") or range(classes)
    names = [plain(visible(str(name))) for name in given]
    there = np.array([np.bincount(run.clips.targets, minlength=classes) for run in row.runs]).sum(axis=0)
    shares = 100 * counts / np.maximum(1, there)[:, None]
    size = 2.6 + 0.36 * classes if classes <= MOST_NUMBERS else 3.2 + 0.13 * classes
    small = 8 if classes <= MOST_NUMBERS else 6
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(size + 2.6, size), layout="constrained")
        panel, recall = figure.subplots(1, 2, sharey=True, width_ratios=(size, 1.6))
        image = panel.imshow(shares, cmap="cividis", vmin=0, vmax=100, aspect="auto")
        panel.grid(visible=False)
        panel.set_xticks(range(classes), names, rotation=90, fontsize=small)
        panel.set_yticks(range(classes), names, fontsize=small)
        panel.set_xlabel("predicted class")
        panel.set_ylabel("class")
        if classes <= MOST_NUMBERS:
            for (true, said), share in np.ndenumerate(shares):
                if share >= 0.5:
                    colour = "black" if share > 60 else "white"
                    panel.text(said, true, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)
        recall.barh(range(classes), np.diag(shares), color=COLOURS[0], height=0.7)
        recall.set_xlim(0, 100)
        recall.set_xlabel("recall, %")
        recall.grid(visible=False, axis="y")
        recall.tick_params(labelleft=False, left=False)
        bar = figure.colorbar(image, ax=panel, pad=0.02, fraction=0.05)
        bar.set_label("% of the class's clips", fontsize=8)
        headed(figure, f"{row.name.text} on {wanted.title}: test clips of {count(len(row.runs), 'run')}")
    return figure
