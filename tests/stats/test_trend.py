"""Trends against least squares, and what the weights must ignore."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.scores import Scores
from petl_bench.stats.trend import (
    flat_region,
    linear_trend,
    linear_weights,
    page_trend,
    quadratic_trend,
    quadratic_weights,
    turning_point,
)
from tests.stats.example import example, fold_table, scores_of


@pytest.mark.parametrize("positions", [(3, 4, 5, 6), (0, 1, 5, 7.5, 30), (2, 1, 0)])
def test_weights_give_the_least_squares_polynomial(positions: tuple[float, ...]) -> None:
    y = np.random.default_rng(0).standard_normal(len(positions))
    assert linear_weights(positions) @ y == pytest.approx(np.polyfit(positions, y, 1)[0])
    assert quadratic_weights(positions) @ y == pytest.approx(np.polyfit(positions, y, 2)[0])


def test_each_trend_is_blind_to_the_lower_degrees() -> None:
    x = np.array([1.0, 2.0, 4.0, 8.0])
    assert linear_weights(x) @ np.full(4, 5.0) == pytest.approx(0)
    assert quadratic_weights(x) @ (5 + 3 * x) == pytest.approx(0)


def test_slope_per_doubling() -> None:
    """Half a point per doubling, the same for every run."""
    random = np.random.default_rng(1)
    base = random.standard_normal((3, 60))
    levels = [
        scores_of(base + 0.5 * step + random.normal(0, 0.01, (3, 60)), np.repeat([1, 2, 3], 20)) for step in range(4)
    ]
    slope = linear_trend(levels, np.log2([8, 16, 32, 64]))
    curvature = quadratic_trend(levels, np.log2([8, 16, 32, 64]))
    assert isinstance(slope, Estimate)
    assert isinstance(curvature, Estimate)
    assert slope.value == pytest.approx(0.5, abs=0.005)
    assert isinstance(slope.p_value, float)
    assert slope.p_value < 1e-6
    assert curvature.value == pytest.approx(0, abs=0.005)


def test_the_middle_of_three_levels_adds_no_degrees_of_freedom() -> None:
    for positions in ((0, 1, 2), (0.1, 0.2, 0.3), (3.3, 6.6, 9.9)):
        assert linear_weights(positions)[1] == 0
    whole = linear_trend([example(name) for name in "BCA"], (0.1, 0.2, 0.3))
    ends = contrast((example("A"), example("B")), (5, -5))
    assert isinstance(whole, Estimate)
    assert isinstance(ends, Estimate)
    assert whole.degrees_of_freedom == pytest.approx(ends.degrees_of_freedom)


def test_a_trend_needs_enough_different_levels() -> None:
    for weights, positions in ((linear_weights, (1, 1)), (quadratic_weights, (0, 1, 1))):
        with pytest.raises(ValueError, match="different positions"):
            weights(positions)


def test_levels_within_a_margin_of_the_best() -> None:
    scores = {"8": 0.90, "16": 0.941, "32": 0.945, "64": 0.935}
    assert flat_region(scores, 0.01) == ("16", "32", "64")
    assert flat_region(scores, 0.0) == ("32",)


def test_page_works_with_one_seed_and_equals_scipy() -> None:
    levels = [example(name, seeds=(0,)) for name in "BCA"]
    table = np.column_stack(list(fold_table("BCA", seeds=(0,)).values()))
    assert page_trend(levels) == pytest.approx(stats.page_trend_test(table).pvalue)


def test_page_needs_blocks_and_levels() -> None:
    one_fold = [scores_of([[1, 0]], [1, 1]) for _ in range(3)]
    for levels in (one_fold, [example("A"), example("B")]):
        assert page_trend(levels) == NotAvailable("Page's test needs 2 folds and 3 levels")


def test_a_turn_needs_an_inner_level_beyond_both_outer_ones() -> None:
    """The larger of two one-sided tests; a rise that levels off has none."""
    random = np.random.default_rng(2)
    base = random.standard_normal((3, 60))

    def levels(*steps: float) -> list[Scores]:
        return [scores_of(base + step + random.normal(0, 0.1, (3, 60)), np.repeat([1, 2, 3], 20)) for step in steps]

    peak = levels(0.0, 0.5, 0.2)
    tests = [contrast([peak[1], outer], [1, -1]) for outer in (peak[0], peak[2])]
    assert turning_point(peak, 1) == max(test.p_above(0) for test in tests if isinstance(test, Estimate))  # type: ignore[type-var]
    assert turning_point(peak, -1) > 0.5  # type: ignore[operator]
    assert turning_point(levels(0.0, 0.5, 0.52), 1) > 0.2  # type: ignore[operator]
    assert turning_point(levels(0.5, 0.0, 0.5), -1) < 0.001  # type: ignore[operator]
    assert isinstance(turning_point(peak[:2], 1), NotAvailable)
