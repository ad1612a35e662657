"""The curve of a probe: accuracy of a linear head by depth."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from petl_bench.leaderboard.figures.style import COLOURS, STYLE, headed
from petl_bench.probing.probe import Probe
from petl_bench.wording import count


def curve(found: Probe, chosen: Sequence[int]) -> Figure:
    """Test accuracy with its 95% band and validation accuracy, in percent; the chosen layers are marked."""
    at = np.arange(len(found.depths))
    test, validation = ([100 * getattr(depth, part) for depth in found.depths] for part in ("test", "validation"))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(5.0, 2.4 + 0.42 * len(at)), 3.6), layout="constrained")
        panel = figure.subplots()
        if all(depth.low is not None for depth in found.depths):
            low, high = ([100 * (getattr(depth, end) or 0) for depth in found.depths] for end in ("low", "high"))
            panel.fill_between(at, low, high, color=COLOURS[0], alpha=0.18, lw=0, label="95% interval")
        panel.plot(at, test, "o-", color=COLOURS[0], ms=4, lw=1.4, label="test")
        panel.plot(at, validation, "--", color=COLOURS[1], lw=1.2, label="validation")
        marks = [layer + 1 for layer in chosen]
        panel.plot(marks, [validation[mark] for mark in marks], "D", color=COLOURS[1], ms=6, mfc="none", label="chosen")
        panel.set_xticks(at, ["input", *(str(depth.layer) for depth in found.depths[1:])])
        panel.set_xlabel("layer whose output a linear head is given")
        panel.set_ylabel("accuracy, %")
        panel.legend(fontsize=8)
        runs = f"{count(len(found.folds), 'fold')}, {count(len(found.seeds), 'seed')}"
        headed(figure, f"{found.backbone} on {found.benchmark}: what a linear head tells apart, {runs}")
    return figure
