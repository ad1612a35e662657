"""How a gated method weighs its adapters: mean gates by adapted sublayer and class, over test clips and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from petl_bench.index import IndexedRun
from petl_bench.leaderboard.figures.confusion import MOST_NUMBERS
from petl_bench.leaderboard.figures.style import STYLE, Wanted, headed, plain
from petl_bench.leaderboard.names import visible
from petl_bench.leaderboard.tables import Table
from petl_bench.wording import count

PREFIX = "gate "


def draw(table: Table, wanted: Wanted) -> Iterator[tuple[str, Figure]]:
    """A figure per row whose runs recorded gates."""
    for row in table.rows:
        if (figure := gates_figure(row.runs, f"{row.name.text} on {wanted.title}")) is not None:
            yield row.name.text, figure


def gates_of(runs: Sequence[IndexedRun]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Sites and mean gates over the runs that recorded them, ``[sites, classes]``; NaN where a class had no clip."""
    found = [run.record.train_info.readings for run in runs]
    names = list(dict.fromkeys(name for readings in found for name in readings if name.startswith(PREFIX)))
    classes = runs[0].record.spec.data.class_count
    gates = np.full((len(names), classes), np.nan)
    for at, name in enumerate(names):
        read = np.array([readings[name] for readings in found if name in readings], dtype=np.float64)
        there = ~np.isnan(read)
        gates[at] = np.divide(
            np.where(there, read, 0).sum(axis=0), there.sum(axis=0), out=gates[at], where=there.any(axis=0)
        )
    return [name.removeprefix(PREFIX) for name in names], gates


def gates_figure(runs: Sequence[IndexedRun], title: str) -> Figure | None:
    """The figure of one configuration's runs; None where they recorded no gates."""
    names, gates = gates_of(runs)
    if not names:
        return None
    classes = gates.shape[1]
    given = runs[0].record.meta_info.dataset_info.get("class_names") or range(classes)
    furthest = max(0.05, float(np.nanmax(np.abs(gates - 1), initial=0)))
    few = classes <= MOST_NUMBERS
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.6 + (0.5 if few else 0.15) * classes, 2.4 + 0.32 * len(names)), layout="constrained")
        panel = figure.subplots()
        image = panel.imshow(gates, cmap="RdBu_r", vmin=1 - furthest, vmax=1 + furthest, aspect="auto")
        panel.grid(visible=False)
        panel.set_xticks(range(classes), [plain(visible(str(name))) for name in given], rotation=90)
        panel.set_yticks(range(len(names)), [plain(name.replace("_", ", ")) for name in names])
        panel.set_xlabel("class")
        if few:
            for (site, at), gate in np.ndenumerate(gates):
                if not np.isnan(gate):
                    colour = "white" if abs(gate - 1) > 0.7 * furthest else "black"
                    panel.text(at, site, f"{gate:.2f}", ha="center", va="center", fontsize=7, color=colour)
        bar = figure.colorbar(image, ax=panel, pad=0.02)
        bar.set_label("weight of the adapter (1: plain sum)", fontsize=8)
        headed(figure, f"{title}: mean gate over test clips of {count(len(runs), 'run')}")
    return figure
