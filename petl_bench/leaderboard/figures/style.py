"""What all figures share: colours, the look, files, where they get their data, and room for labels."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from petl_bench.canonical import digest
from petl_bench.files import whole_file
from petl_bench.leaderboard.report import Data
from petl_bench.records import slug

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind readers can tell apart."""
MARKERS = "os^Dvp*"
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "petl-bench",
    "svg.fonttype": "none",
}


LETTERS_PER_INCH = 11
"""Of the fonts that titles and legends have, at least."""
LABEL_LETTERS = 34
LONGEST_NAME = 100
"""Of a file, in letters."""


@dataclass(frozen=True)
class Wanted:
    """What a figure may need beside its table.

    ``title`` of the table; ``folders`` of runs by key; ``margin`` in points.
    """

    title: str = ""
    folders: Mapping[str, Path] = field(default_factory=dict)
    baseline: str | None = None
    margin: float | None = None


def file_name(parts: Sequence[str]) -> str:
    """A name of letters, digits and a few signs, with a digest where that or its length hides a difference."""
    whole = "-".join(parts)
    name = slug(whole)
    return name if name == whole and len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}-{digest(whole, 6)}"


def headed(figure: Figure, title: str) -> None:
    """Put a title over a figure, at its left edge, on as many lines as the figure's width asks for."""
    letters = int(figure.get_figwidth() * LETTERS_PER_INCH)
    figure.suptitle(plain("\n".join(textwrap.wrap(title, letters))), fontsize=10, x=0.01, ha="left")


def wrapped(names: Sequence[str]) -> list[str]:
    """Names as labels beside an axis, on several lines where they are long."""
    return [plain("\n".join(textwrap.wrap(name, LABEL_LETTERS, break_on_hyphens=False))) for name in names]


def lines_of(names: Sequence[str]) -> int:
    """Lines of the longest of some labels."""
    return max((label.count("\n") + 1 for label in wrapped(names)), default=1)


def add_legend(figure: Figure, handles: Sequence[Any], width: float) -> None:
    """A legend below, with as many columns as fit into so many inches."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), 5, int(width * LETTERS_PER_INCH / (longest + 6))))
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns, fontsize=8)


def reach(row: Data, key: str) -> npt.NDArray[np.float64] | None:
    """How far a row's interval reaches below and above its value ``key``, in points, ``[2, 1]``; None without one."""
    if row["low"] is None:
        return None
    return 100 * np.array([[row[key] - row["low"]], [row["high"] - row[key]]])


def plain(text: str) -> str:
    """A name that is drawn as it is: matplotlib takes what stands between two dollar signs for mathematics."""
    return text.replace("$", r"\$")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG; equal figures give equal files."""
    paths = []
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        path = folder / f"{name}.{suffix}"
        with whole_file(path) as temporary, mpl.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph ")  # another script's letters: boxes in the PNG
            figure.savefig(temporary, format=suffix, dpi=150, metadata=metadata)
        paths.append(path)
    return paths


PLACES = ((7, 0, "left", "center"), (-7, 0, "right", "center"), (0, 8, "center", "bottom"), (0, -8, "center", "top"),
          (6, 6, "left", "bottom"), (6, -6, "left", "top"), (-6, 6, "right", "bottom"), (-6, -6, "right", "top"),
          (14, 16, "left", "bottom"), (14, -16, "left", "top"))  # fmt: skip
"""Where a name may stand: offset from its point in typographic points, and how it is aligned."""
BACKGROUND: Any = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5}
"""Of a name, so that it can be read across a line."""


def label_points(panel: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write names beside points where they cover neither points nor other names; the first have first choice.

    Call it last: it needs the final limits of the axes. A name that fits nowhere is left out.
    """
    figure = panel.figure
    assert isinstance(figure, Figure)
    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph ")
        canvas.draw()
    across, up = 4 * figure.dpi / 72, 4 * figure.dpi / 72
    at = [panel.transData.transform((x, y)) for x, y, _ in points]
    taken = [Bbox([[x - across, y - up], [x + across, y + up]]) for x, y in at]
    edge = panel.get_window_extent()
    for x, y, name in points:
        for right, above, side, height in PLACES:
            text = panel.annotate(plain(name), (x, y), (right, above), textcoords="offset points", ha=side, va=height,
                                  fontsize=8, bbox=BACKGROUND)  # fmt: skip
            text.set_in_layout(False)
            box = text.get_window_extent()
            inside = box.x0 >= edge.x0 and box.x1 <= edge.x1 and box.y0 >= edge.y0 - 2 and box.y1 <= edge.y1 + 12
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
