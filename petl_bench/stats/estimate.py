"""An estimate with its standard error, test and interval, and what its variance is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from petl_bench.stats.availability import NotAvailable, Quantity

Procedure = Literal[
    "two-way",
    "fold t",
    "source sign-flip",
    "corrected resampled t",
    "Welch t over seeds",
    "mean of data sets",
    "t over data sets",
    "none",
]

_PROCEDURES_OF_TRAINING = (
    "training procedures on data like this; runs and clips random, training-set overlap not modelled"
)
ESTIMANDS: dict[Procedure, str] = {
    "two-way": _PROCEDURES_OF_TRAINING,
    "fold t": _PROCEDURES_OF_TRAINING,
    "corrected resampled t": "training procedures on data like this; training-set overlap allowed for in part",
    "source sign-flip": "these trained models on new clips; seed noise ignored",
    "Welch t over seeds": "training procedures on exactly these clips; clip sampling ignored",
    "mean of data sets": "training procedures, averaged over these data sets and no others",
    "t over data sets": "training procedures on a new data set; low power",
    "none": "no test",
}
"""The question each procedure answers."""

ROUNDING = 1e-12
"""Scores closer than this are equal: what is left is rounding."""

NEGLIGIBLE_EXCESS = 1e-12


@dataclass(frozen=True)
class Interval:
    """A confidence interval, in the unit of the scores."""

    low: float
    high: float
    scale: Literal["plain", "logit", "Wilson"] = "plain"
    """Where it was made; Wilson's is for independent clips and knows no run noise."""


@dataclass(frozen=True)
class Components:
    """Parts of a two-way variance, in squared score units."""

    source: float
    """Sampling of sources, and what seeds do to each clip alone."""
    run: float
    """Variance over runs (seeds within folds)."""
    both: float
    """What ``source`` and ``run`` both count: seed noise that is independent from clip to clip."""
    run_of_one_seed: float
    """``run`` as it would be with one seed per fold."""
    source_degrees_of_freedom: int
    run_degrees_of_freedom: int

    @property
    def excess(self) -> float:
        """Run variance that moves the clips of a run together, 0 where it is not positive."""
        excess = self.run - self.both
        return excess if excess >= NEGLIGIBLE_EXCESS else 0.0

    @property
    def total(self) -> float:
        return self.source + self.excess

    @property
    def degrees_of_freedom(self) -> float:
        return satterthwaite([self.source, self.excess], [self.source_degrees_of_freedom, self.run_degrees_of_freedom])


@dataclass(frozen=True)
class Estimate:
    """A contrast of configurations, in the unit of the scores (accuracy: fractions). ``p_value`` is two-sided."""

    value: float
    standard_error: Quantity
    degrees_of_freedom: Quantity
    p_value: Quantity
    procedure: Procedure
    components: Components | None = None
    """Only where the procedure is two-way."""
    notes: tuple[str, ...] = ()

    @property
    def estimand(self) -> str:
        """The question that the p-value answers."""
        return ESTIMANDS[self.procedure]

    def interval(self, level: float = 0.95) -> Interval | NotAvailable:
        """value -+ t * SE, not adjusted for other comparisons."""
        if isinstance(self.standard_error, NotAvailable):
            return self.standard_error
        if isinstance(self.degrees_of_freedom, NotAvailable):
            return Interval(self.value, self.value)
        half = float(stdtrit(self.degrees_of_freedom, (1 + level) / 2)) * self.standard_error
        return Interval(self.value - half, self.value + half)

    def p_above(self, threshold: float) -> Quantity:
        """One-sided p-value for "the true value is above ``threshold``"."""
        return self._lower_tail(threshold - self.value)

    def p_below(self, threshold: float) -> Quantity:
        """One-sided p-value for "the true value is below ``threshold``"."""
        return self._lower_tail(self.value - threshold)

    def _lower_tail(self, distance: float) -> Quantity:
        if isinstance(self.standard_error, NotAvailable):
            return self.standard_error
        if isinstance(self.degrees_of_freedom, NotAvailable):
            return float(distance >= 0)
        return float(stdtr(self.degrees_of_freedom, distance / self.standard_error))


def estimate_from_variance(
    value: float,
    variance: float,
    degrees_of_freedom: float,
    procedure: Procedure,
    *,
    identical: bool = False,
    components: Components | None = None,
    notes: Sequence[str] = (),
) -> Estimate:
    """Student's t for value / sqrt(variance).

    ``identical`` says that all differences are 0, clip by clip: standard error 0 and p 1, whatever the variance between
    runs. Without spread otherwise there is no t: the standard error is not available, and p is 1 for a value of 0, not
    available for any other.
    """
    if identical:
        error = NotAvailable("identical predictions, same run twice?")
        return Estimate(0.0, 0.0, error, 1.0, procedure, notes=(error.reason,))
    if variance > ROUNDING**2:
        standard_error = math.sqrt(variance)
        p_value = 2 * float(stdtr(degrees_of_freedom, -abs(value) / standard_error))
        return Estimate(value, standard_error, degrees_of_freedom, p_value, procedure, components, tuple(notes))
    error = NotAvailable("no spread to compare the value with")
    no_test = 1.0 if negligible(value) else error
    return Estimate(value, error, error, no_test, procedure, components, (*notes, error.reason))


def satterthwaite(variances: Sequence[float], degrees_of_freedom: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independent variances (Satterthwaite 1946); infinite where all are 0."""
    spread = sum(v**2 / df for v, df in zip(variances, degrees_of_freedom, strict=True) if v > 0)
    return sum(variances) ** 2 / spread if spread > 0 else math.inf


def negligible(values: float | npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether values differ from 0 by rounding alone."""
    return np.abs(values) < ROUNDING
