"""Ordered factors: one contrast over all levels in place of a test per pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.scores import Floats, Scores, fold_means, require_same_clips


def linear_weights(positions: Sequence[float]) -> Floats:
    """Contrast weights whose value is the least-squares slope per unit of ``positions``. Raises ValueError below 2."""
    return _polynomial_weights(positions, degree=1)


def quadratic_weights(positions: Sequence[float]) -> Floats:
    """Contrast weights whose value is the least-squares coefficient of the square. Raises ValueError below 3."""
    return _polynomial_weights(positions, degree=2)


def linear_trend(levels: Sequence[Scores], positions: Sequence[float]) -> Estimate | NotAvailable:
    """Slope of the score per unit of ``positions``: per doubling where these are log2 of a batch size or a rank."""
    return contrast(levels, linear_weights(positions).tolist())


def quadratic_trend(levels: Sequence[Scores], positions: Sequence[float]) -> Estimate | NotAvailable:
    """Curvature over ``positions``: a claim of an optimum between the levels needs it below 0."""
    return contrast(levels, quadratic_weights(positions).tolist())


def turning_point(levels: Sequence[Scores], direction: int) -> Quantity:
    """One-sided p-value that some inner level scores above both outer ones (``direction`` 1), or below both (-1).

    An inner level's p is the larger of its two tests (intersection-union, Berger, Technometrics 1982); the smallest
    of these, times the number of inner levels. A curve that rises and levels off bends, but does not turn. Not
    available below 3 levels, or where a test is lacking.
    """
    found = []
    for inner in levels[1:-1]:
        both = [contrast([inner, outer], [direction, -direction]) for outer in (levels[0], levels[-1])]
        p_values = [
            difference if isinstance(difference, NotAvailable) else difference.p_above(0) for difference in both
        ]
        if missing := [p for p in p_values if isinstance(p, NotAvailable)]:
            return missing[0]
        found.append(max(p for p in p_values if isinstance(p, float)))
    return min(1.0, len(found) * min(found)) if found else NotAvailable("no level lies between others")


def flat_region(scores: Mapping[str, float], margin: float) -> tuple[str, ...]:
    """Levels whose score is within ``margin`` of the best. Descriptive: no test."""
    best = max(scores.values())
    return tuple(level for level, score in scores.items() if best - score <= margin)


def page_trend(levels: Sequence[Scores]) -> Quantity:
    """One-sided p-value of Page's test that scores rise from level to level, on seed-averaged fold means.

    Folds are the blocks, so that it needs no second seed. Not available with one fold or below 3 levels. Raises
    UserError where clips differ.
    """
    require_same_clips(levels)
    folds = len(levels[0].tested_folds)
    if folds < 2 or len(levels) < 3:
        return NotAvailable("Page's test needs 2 folds and 3 levels")
    from scipy.stats import page_trend_test

    table = np.column_stack([fold_means(level, level.seed_means) for level in levels])
    return float(page_trend_test(table).pvalue)


def _polynomial_weights(positions: Sequence[float], degree: int) -> Floats:
    """What the power ``degree`` adds to the lower ones, over its sum of squares."""
    x = np.asarray(positions, dtype=np.float64)
    if len(np.unique(x)) <= degree:
        raise ValueError(f"a trend of degree {degree} needs {degree + 1} different positions, got {list(positions)}")
    x = x - x.mean()
    lower = np.vander(x, degree, increasing=True)
    rest = x**degree - lower @ np.linalg.lstsq(lower, x**degree, rcond=None)[0]
    rest[np.abs(rest) < 1e-9 * np.abs(rest).max()] = 0  # a level without weight must not enter the degrees of freedom
    weights: Floats = rest / (rest @ rest)
    return weights
