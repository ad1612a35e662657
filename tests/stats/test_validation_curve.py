"""Expected best of n trials against enumeration."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from petl_bench.stats.validation_curve import expected_best, expected_best_with_replacement

SCORES = [0.7, 0.9, 0.2, 0.9, 0.5]


def test_without_replacement_is_the_mean_over_all_subsets() -> None:
    for count, value in enumerate(expected_best(SCORES), start=1):
        assert value == pytest.approx(np.mean([max(chosen) for chosen in combinations(SCORES, count)]))


def test_with_replacement_is_the_mean_over_all_draws() -> None:
    for count, value in enumerate(expected_best_with_replacement(SCORES), start=1):
        assert value == pytest.approx(np.mean([max(chosen) for chosen in product(SCORES, repeat=count)]))


def test_a_long_search_stays_finite() -> None:
    scores = np.random.default_rng(0).random(2_000)
    curve = expected_best(scores)
    assert np.isfinite(curve).all()
    assert (np.diff(curve) > -1e-12).all()
    assert (curve[0], curve[-1]) == pytest.approx((scores.mean(), scores.max()))


@pytest.mark.parametrize("scores", [[], [0.5, np.nan]])
def test_failed_trials_are_not_scores(scores: list[float]) -> None:
    for curve in (expected_best, expected_best_with_replacement):
        with pytest.raises(ValueError, match="finite scores"):
            curve(scores)
