"""Is a method as good as another, within a margin that was declared before the results were seen?

A p-value above 0.05 is no evidence of equality. Here the null hypothesis is that the difference exceeds the margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.estimate import Estimate, Interval
from petl_bench.stats.multiplicity import holm


@dataclass(frozen=True)
class MarginTest:
    """A difference against a margin, both in the unit of the scores. One-sided p-values."""

    margin: float
    interval: Interval | NotAvailable
    """Two-sided 90%: its lower bound is the one-sided 95% bound. Not adjusted."""
    non_inferiority_p: Quantity
    """For "the difference is above -margin"."""
    equivalence_p: Quantity
    """For "the difference lies within +-margin": the larger of two one-sided p-values."""
    holm_non_inferiority_p: Quantity
    holm_equivalence_p: Quantity


def against_margin(differences: Sequence[Estimate], margin: float) -> list[MarginTest]:
    """Non-inferiority and equivalence of a family of differences, with their standard errors.

    Equivalence is two one-sided tests (Schuirmann, J. Pharmacokinet. Biopharm. 1987); Holm's adjustment is over the
    family. Not available where a difference has no standard error. Raises ValueError unless ``margin`` is positive.
    """
    if not margin > 0:
        raise ValueError(f"a margin must be positive, got {margin}")
    above = [difference.p_above(-margin) for difference in differences]
    within = [_larger(p, difference.p_below(margin)) for p, difference in zip(above, differences, strict=True)]
    columns = zip(differences, above, within, holm(above), holm(within), strict=True)
    return [MarginTest(margin, difference.interval(0.90), *p_values) for difference, *p_values in columns]


def probability_within(difference: Estimate, margin: float) -> Quantity:
    """Posterior probability of +-margin under a flat prior, from the t distribution: a number, not a decision."""
    below_upper, below_lower = difference.p_above(margin), difference.p_above(-margin)
    if isinstance(below_upper, NotAvailable) or isinstance(below_lower, NotAvailable):
        return below_upper
    return below_upper - below_lower


def _larger(first: Quantity, second: Quantity) -> Quantity:
    if isinstance(first, NotAvailable) or isinstance(second, NotAvailable):
        return first
    return max(first, second)
