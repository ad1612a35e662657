"""Plans: what they predict must come out when the data have that many seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Components, Estimate
from petl_bench.stats.planning import SeedPlan, seed_plan
from tests.stats.example import example, scores_of

PLAN = SeedPlan(irreducible=0.0042**2, run_variance=0.00795**2)


def test_a_pilot_predicts_its_own_variance() -> None:
    pilot = contrast((example("A"), example("B")), (1, -1))
    assert isinstance(pilot, Estimate)
    plan = seed_plan(pilot)
    assert isinstance(plan, SeedPlan)
    assert plan.standard_error(2) == pytest.approx(pilot.standard_error)


def test_seeds_and_minimum_detectable_difference_are_inverse() -> None:
    for seeds in (1, 2.5, 10):
        assert PLAN.seeds_for(PLAN.minimum_detectable(seeds)) == pytest.approx(seeds)
        assert PLAN.seeds_for(-PLAN.minimum_detectable(seeds, 0.9, 0.01), 0.9, 0.01) == pytest.approx(seeds)
        assert PLAN.power(PLAN.minimum_detectable(seeds), seeds) == pytest.approx(0.8)


def test_no_number_of_seeds_gets_below_the_floor() -> None:
    assert PLAN.floor() == pytest.approx(2.801585 * 0.0042, rel=1e-6)
    for difference in (PLAN.floor(), 0.5 * PLAN.floor(), 0.0):
        assert PLAN.seeds_for(difference) == NotAvailable("below 0.01177 no number of seeds is enough on these clips")
    assert PLAN.minimum_detectable(10**9) == pytest.approx(PLAN.floor())


def test_power_of_a_two_point_difference() -> None:
    """Standard error 0.634 points: simulated power was 0.86."""
    plan = SeedPlan(irreducible=0.0, run_variance=3 * 0.00634**2)
    assert plan.power(0.02, 3) == pytest.approx(0.88, abs=0.005)


def test_a_pilot_with_unequal_seeds_counts_each_fold_by_its_own() -> None:
    random = np.random.default_rng(0)
    folds = np.repeat([1, 2], 30)
    y = random.standard_normal((4, 60)) + random.standard_normal((4, 2))[:, folds - 1]
    pilot = contrast([scores_of(y, folds, missing=[(1, 0), (1, 1)])], [1.0])
    assert isinstance(pilot, Estimate)
    plan = seed_plan(pilot)
    assert isinstance(plan, SeedPlan)
    expected = sum(0.25 * np.var(means, ddof=1) for means in (y[2:, folds == 1].mean(1), y[:, folds == 2].mean(1)))
    assert plan.run_variance == pytest.approx(expected)


def test_clip_sampling_is_never_negative() -> None:
    parts = Components(1.0, 4.0, 3.0, 8.0, 10, 5)
    plan = seed_plan(Estimate(0.0, 1.0, 10, 1.0, "two-way", parts))
    assert plan == SeedPlan(0.0, 8.0)
    assert plan.floor() == 0
    assert math.isfinite(plan.minimum_detectable(1))


def test_one_seed_is_no_pilot() -> None:
    for pair in ((example("A", (0,)), example("B", (0,))), (example("A"), example("A"))):
        pilot = contrast(pair, (1, -1))
        assert isinstance(pilot, Estimate)
        assert isinstance(seed_plan(pilot), NotAvailable)
