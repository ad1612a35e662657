"""Tests of the trained models themselves on new clips: they say nothing about another seed or another training set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from petl_bench.stats.estimate import ROUNDING, negligible
from petl_bench.stats.scores import Floats

EXACT_SOURCES = 14
FLIPS = 9_999
FLIPS_AT_ONCE = 1_000


def sign_flip(
    differences: Floats, source_codes: npt.NDArray[np.int64], random: np.random.Generator | None = None
) -> float:
    """Two-sided p-value of the mean of ``differences``, ``[clips]``, under exchange of the models source by source.

    Exact up to 14 sources with a difference, else (1 + count) / (1 + 9,999) over random flips. Without a generator one
    with a fixed seed is made, so that a comparison prints the same p-value every time.
    """
    totals = np.asarray(np.bincount(source_codes, weights=differences), dtype=np.float64)
    totals = totals[~negligible(totals)]  # a source without a difference is the same under both signs
    observed = abs(totals.sum()) - ROUNDING
    if len(totals) <= EXACT_SOURCES:
        flips = np.arange(2 ** len(totals))[:, None] >> np.arange(len(totals)) & 1
        return float(np.mean(np.abs(_flipped_sums(totals, flips)) >= observed))
    random = random or np.random.default_rng(0)
    extreme = 0
    for start in range(0, FLIPS, FLIPS_AT_ONCE):
        flips = random.integers(0, 2, size=(min(FLIPS_AT_ONCE, FLIPS - start), len(totals)), dtype=np.int8)
        extreme += int((np.abs(_flipped_sums(totals, flips)) >= observed).sum())
    return (1 + extreme) / (1 + FLIPS)


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of McNemar's test: ``only_a`` clips that A alone gets right, ``only_b`` those of B.

    1 where there are none of either. For one run per fold; clips are the units, sources are ignored.
    """
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def _flipped_sums(totals: Floats, flips: npt.NDArray[np.integer]) -> Floats:
    """Sum of ``totals``, ``[sources]``, with the sign changed where ``flips``, ``[n, sources]``, is 1."""
    sums: Floats = totals.sum() - 2 * (flips @ totals)
    return sums
