"""One difference over several data sets. Up to five, a rank test over data sets can hardly reject: see ``ranks``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.estimate import Estimate, estimate_from_variance, satterthwaite
from petl_bench.wording import count

LEAST_DATASETS = 3
LEVEL = 0.05


def mean_over_datasets(differences: Mapping[str, Estimate]) -> Estimate | NotAvailable:
    """Mean difference over these data sets and no others, each counting the same, SE = sqrt(sum SE_d^2) / D.

    Not available where the difference on some data set has no standard error.
    """
    variances, degrees_of_freedom = [], []
    for name, difference in differences.items():
        if isinstance(difference.standard_error, NotAvailable):
            return NotAvailable(f"{name}: {difference.standard_error.reason}")
        # identical predictions: no variance, so that the degrees of freedom do not matter
        df = difference.degrees_of_freedom
        variances.append(difference.standard_error**2)
        degrees_of_freedom.append(1.0 if isinstance(df, NotAvailable) else df)
    return estimate_from_variance(
        sum(difference.value for difference in differences.values()) / len(differences),
        sum(variances) / len(differences) ** 2,
        satterthwaite(variances, degrees_of_freedom),
        "mean of data sets",
        identical=not any(variances),
    )


def new_dataset_test(differences: Sequence[float]) -> Estimate | NotAvailable:
    """Student's t over data sets, D - 1 degrees of freedom: the claim about a data set not seen. Low power.

    Not available below 3 data sets.
    """
    datasets = len(differences)
    if datasets < LEAST_DATASETS:
        return NotAvailable(f"{count(datasets, 'data set')}: a claim about new ones needs {LEAST_DATASETS}")
    variance = float(np.var(differences, ddof=1)) / datasets
    return estimate_from_variance(sum(differences) / datasets, variance, datasets - 1, "t over data sets")


@dataclass(frozen=True)
class WinsTiesLosses:
    """On how many data sets a method is significantly better, neither, or worse."""

    wins: int
    ties: int
    losses: int


def wins_ties_losses(outcomes: Iterable[tuple[float, Quantity]]) -> WinsTiesLosses:
    """Count (difference, adjusted p-value) pairs, one per data set. A comparison without a test is left out."""
    tested = [(value, p) for value, p in outcomes if not isinstance(p, NotAvailable)]
    wins = sum(p < LEVEL and value > 0 for value, p in tested)
    losses = sum(p < LEVEL and value < 0 for value, p in tested)
    return WinsTiesLosses(wins, len(tested) - wins - losses, losses)
