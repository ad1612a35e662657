"""Several tests at once: families of comparisons, adjusted p-values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.scores import Floats


def family(names: Sequence[str], baseline: str | None = None) -> list[tuple[str, str]]:
    """The comparisons that one adjustment covers.

    Every method against a ``baseline`` that was named before the results were seen, else all pairs: "against the
    best" is a choice among all pairs, because the data chose the best. Raises ValueError where the baseline is none of
    ``names``.
    """
    if baseline is None:
        return list(combinations(names, 2))
    if baseline not in names:
        raise ValueError(f"the baseline {baseline} is none of {', '.join(names)}")
    return [(name, baseline) for name in names if name != baseline]


def holm(p_values: Sequence[Quantity]) -> list[Quantity]:
    """Adjusted p-values that control the family-wise error rate: max over l <= j of min(1, (m - l + 1) p_(l)).

    Holm (Scand. J. Stat. 1979). What is not available stays so and counts for nothing: no test, no false alarm.
    """
    return _adjusted(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: Sequence[Quantity]) -> list[Quantity]:
    """Adjusted p-values that control the false discovery rate, for exploratory grids: min over l >= j of m p_(l) / l.

    Benjamini & Hochberg (J. R. Stat. Soc. B 1995). What is not available stays so and counts for nothing.
    """
    return _adjusted(p_values, lambda p: np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1])


def _adjusted(p_values: Sequence[Quantity], adjust_ascending: Callable[[Floats], Floats]) -> list[Quantity]:
    adjusted = list(p_values)
    tested = [position for position, p in enumerate(p_values) if not isinstance(p, NotAvailable)]
    known = np.array([p_values[position] for position in tested], dtype=np.float64)
    order = np.argsort(known, kind="stable")
    for rank, p in zip(order, np.minimum(adjust_ascending(known[order]), 1.0), strict=True):
        adjusted[tested[rank]] = float(p)
    return adjusted
