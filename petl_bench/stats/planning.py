"""How many seeds, and what difference they can show: V(S) = irreducible + run_variance / S, from a pilot."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtr, ndtri, stdtrit

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.estimate import Estimate


@dataclass(frozen=True)
class SeedPlan:
    """Variance of a contrast as a function of the number of seeds, in squared score units.

    ``irreducible`` is what more seeds do not remove, the sampling of clips; ``run_variance`` is that of one seed, with
    the noise of single clips. Normal approximation throughout.
    """

    irreducible: float
    run_variance: float

    def standard_error(self, seeds: float) -> float:
        return math.sqrt(self.irreducible + self.run_variance / seeds)

    def minimum_detectable(self, seeds: float, power: float = 0.8, alpha: float = 0.05) -> float:
        """Smallest true difference found with probability ``power`` at two-sided level ``alpha``."""
        return detection_factor(power, alpha) * self.standard_error(seeds)

    def floor(self, power: float = 0.8, alpha: float = 0.05) -> float:
        """The minimum detectable difference with any number of seeds."""
        return self.minimum_detectable(math.inf, power, alpha)

    def seeds_for(self, difference: float, power: float = 0.8, alpha: float = 0.05) -> Quantity:
        """Seeds, not rounded, that find a true ``difference``. Not available at the floor or below it."""
        room = (difference / detection_factor(power, alpha)) ** 2 - self.irreducible
        if room <= 0:
            return NotAvailable(f"below {self.floor(power, alpha):.4g} no number of seeds is enough on these clips")
        return self.run_variance / room

    def power(self, difference: float, seeds: float, alpha: float = 0.05) -> float:
        """Probability that a true ``difference`` comes out significant in its own direction."""
        return float(ndtr(abs(difference) / self.standard_error(seeds) - ndtri(1 - alpha / 2)))


def seed_plan(pilot: Estimate) -> SeedPlan | NotAvailable:
    """The plan that a pilot with two seeds or more supports.

    Sampling of clips is V_source less the seed noise that it counts, 0 where that is negative.
    """
    parts = pilot.components
    if parts is None:
        return NotAvailable("planning needs a two-way estimate: two seeds or more, predictions that differ")
    return SeedPlan(max(0.0, parts.source - parts.both), parts.run_of_one_seed)


def detectable_now(estimate: Estimate, power: float = 0.8, alpha: float = 0.05) -> Quantity:
    """Smallest true difference that a test like this one finds with probability ``power``.

    (t_(1 - alpha/2) + t_power) * SE with the test's degrees of freedom. Not available where it has no standard error.
    """
    error, freedom = estimate.standard_error, estimate.degrees_of_freedom
    if isinstance(error, NotAvailable):
        return error
    if isinstance(freedom, NotAvailable):
        return freedom
    return float(stdtrit(freedom, 1 - alpha / 2) + stdtrit(freedom, power)) * error


def detection_factor(power: float = 0.8, alpha: float = 0.05) -> float:
    """Minimum detectable difference over standard error: z_(1 - alpha/2) + z_power, 2.801585 by default."""
    return float(ndtri(1 - alpha / 2) + ndtri(power))
