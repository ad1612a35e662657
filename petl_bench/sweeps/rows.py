"""A study's combinations as ``rows.csv``: scores and differences as fractions."""

from __future__ import annotations

import csv
import io

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.describe import describe
from petl_bench.sweeps.answers import Answer, Difference
from petl_bench.sweeps.grid import show
from petl_bench.sweeps.sentences import detectable

COLUMNS = ("score", "low", "high", "difference", "difference_low", "difference_high", "p", "p_holm", "verdict", "runs",
           "detectable")  # fmt: skip


def rows_csv(said: Answer) -> str:
    """One line per combination."""
    factors = list(dict.fromkeys(name for cell in said.cells for name in cell.levels))
    by_cell = {id(difference.cell): difference for difference in said.differences}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*factors, *COLUMNS], lineterminator="\n")
    writer.writeheader()
    for cell in said.cells:
        described, difference = describe(cell.scores), by_cell.get(id(cell))
        row: dict[str, object] = {name: show(level) for name, level in cell.levels.items()}
        row |= {"score": _digits(described.score), "runs": len(cell.runs)}
        if not isinstance(described.interval, NotAvailable):
            row |= {"low": _digits(described.interval.low), "high": _digits(described.interval.high)}
        writer.writerow({**row, **(_difference(difference) if difference else {})})
    return text.getvalue()


def _difference(difference: Difference) -> dict[str, object]:
    estimate = difference.estimate
    bounds = estimate.interval()
    row = {"difference": _digits(estimate.value), "verdict": difference.finding}
    if not isinstance(bounds, NotAvailable):
        row |= {"difference_low": _digits(bounds.low), "difference_high": _digits(bounds.high)}
    return {
        **row,
        "p": _digits(estimate.p_value),
        "p_holm": _digits(difference.holm_p),
        "detectable": _digits(detectable(estimate)),
    }


def _digits(value: float | NotAvailable | None) -> str:
    """Nine significant digits; nothing where there is no number."""
    return f"{value:.9g}" if isinstance(value, float) else ""
