"""Ranks of methods over data sets, ``[data sets, methods]`` tables of scores, a higher score first.

Folds are not data sets: they share training clips, and their number shrinks p-values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import chdtrc, fdtrc

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.multiplicity import holm
from petl_bench.stats.scores import Floats

LEAST_DATASETS = 6
RELIABLE_DATASETS = 10


def ranks(scores: Sequence[float]) -> Floats:
    """Rank of every score, the highest 1; equal scores share their mean rank."""
    _, group, counts = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True, return_counts=True)
    shared: Floats = np.cumsum(counts) - (counts - 1) / 2
    return shared.take(group)


def mean_ranks(table: Floats) -> Floats:
    """Mean rank of every method, ``[methods]``."""
    by_dataset: Floats = np.array([ranks(row) for row in table])
    return np.asarray(by_dataset.mean(axis=0))


@dataclass(frozen=True)
class Friedman:
    """Test that all methods rank alike, and how far data sets agree."""

    chi_square: float
    p_value: float
    iman_davenport_f: Quantity
    iman_davenport_p: Quantity
    kendall_w: float
    """0: no agreement of the data sets; 1: the same order on all."""


def friedman(table: Floats) -> Friedman | NotAvailable:
    """Friedman's test, corrected for ties, with the less conservative F of Iman & Davenport (Commun. Stat. 1980).

    Not available below 2 data sets or methods, or where every data set ties all methods.
    """
    datasets, methods = table.shape
    if datasets < 2 or methods < 2:
        return NotAvailable("Friedman's test needs 2 data sets and 2 methods")
    by_dataset = np.array([ranks(row) for row in table])
    spread = float(((by_dataset - (methods + 1) / 2) ** 2).sum())
    if spread == 0:
        return NotAvailable("all methods tie on every data set")
    deviations = by_dataset.sum(axis=0) - datasets * (methods + 1) / 2
    chi_square = (methods - 1) * float(deviations @ deviations) / spread
    most = datasets * (methods - 1)
    f: Quantity = NotAvailable("all data sets agree")
    p: Quantity = f
    if chi_square < most:
        f = (datasets - 1) * chi_square / (most - chi_square)
        p = float(fdtrc(methods - 1, (methods - 1) * (datasets - 1), f))
    return Friedman(chi_square, float(chdtrc(methods - 1, chi_square)), f, p, chi_square / most)


def critical_difference(datasets: int, methods: int, alpha: float = 0.05) -> float:
    """Nemenyi's: mean ranks that differ by less are alike (Demsar, JMLR 7, 2006)."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return quantile * _rank_error(datasets, methods)


def nemenyi(table: Floats) -> Floats:
    """Adjusted p-value of every pair of methods, ``[methods, methods]``."""
    from scipy.stats import studentized_range

    means = mean_ranks(table)
    gaps = np.abs(np.subtract.outer(means, means)) / _rank_error(*table.shape)
    return np.asarray(studentized_range.sf(gaps * np.sqrt(2), table.shape[1], np.inf), dtype=np.float64)


@dataclass(frozen=True)
class RankComparison:
    """Methods over many data sets: what a critical-difference diagram shows."""

    mean_ranks: tuple[float, ...]
    friedman: Friedman | NotAvailable
    critical_difference: float
    holm_p: dict[tuple[int, int], float]
    """Wilcoxon's signed-rank test of every pair of methods, adjusted over all pairs."""
    notes: tuple[str, ...]


def compare_ranks(table: Floats) -> RankComparison | NotAvailable:
    """Compare methods by rank. Not available below 6 data sets, where Wilcoxon's test cannot reject at 0.05."""
    from scipy.stats import wilcoxon

    datasets, methods = table.shape
    if datasets < LEAST_DATASETS:
        return NotAvailable(
            f"{datasets} data sets: a rank test needs {LEAST_DATASETS} (smallest p-value {2 / 2**datasets:.4g})"
        )
    pairs = list(combinations(range(methods), 2))
    gaps = [table[:, a] - table[:, b] for a, b in pairs]
    raw = [float(wilcoxon(gap).pvalue) if gap.any() else 1.0 for gap in gaps]
    few = f"only {datasets} data sets: rank tests are reliable from {RELIABLE_DATASETS}"
    return RankComparison(
        tuple(mean_ranks(table).tolist()),
        friedman(table),
        critical_difference(datasets, methods),
        dict(zip(pairs, (p for p in holm(raw) if isinstance(p, float)), strict=True)),
        (few,) if datasets < RELIABLE_DATASETS else (),
    )


def _rank_error(datasets: int, methods: int) -> float:
    """Standard error of a difference of two mean ranks where all methods are alike."""
    return math.sqrt(methods * (methods + 1) / (6 * datasets))
