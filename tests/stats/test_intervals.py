"""Intervals of one configuration: which scale, and none that leaves [0, 1] for an accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Estimate, Interval
from petl_bench.stats.intervals import score_interval, wilson
from petl_bench.stats.scores import Scores, collect
from tests.stats.example import example, scores_of

FOLDS = np.repeat([1, 2, 3, 4, 5], 40)


def accurate(errors: int, seeds: int = 2) -> Scores:
    """Seed 0 wrong on the first ``errors`` clips of a shuffled list, every other seed on those after the first."""
    order = np.random.default_rng(0).permutation(200)
    y = np.ones((seeds, 200))
    for seed in range(seeds):
        y[seed, order[min(seed, 1) : errors + min(seed, 1)]] = 0
    return scores_of(y, FOLDS)


def test_near_the_ceiling_it_is_made_on_the_logit_scale() -> None:
    scores = accurate(4)
    plain = contrast((scores,), (1,))
    assert isinstance(plain, Estimate)
    bounds = plain.interval()
    assert isinstance(bounds, Interval)
    half, accuracy = (bounds.high - bounds.low) / 2, 0.98
    interval = score_interval(scores)
    assert isinstance(interval, Interval)
    assert interval.scale == "logit"
    assert interval.low == pytest.approx(expit(logit(accuracy) - half / (accuracy * (1 - accuracy))))
    assert interval.high == pytest.approx(expit(logit(accuracy) + half / (accuracy * (1 - accuracy))))
    assert interval.high < 1


@pytest.mark.parametrize(("errors", "scale"), [(6, "logit"), (7, "plain")])
def test_the_ceiling_starts_at_97_percent(errors: int, scale: str) -> None:
    interval = score_interval(accurate(errors))
    assert isinstance(interval, Interval)
    assert interval.scale == scale


def test_an_accuracy_is_cut_at_one_and_another_score_is_not() -> None:
    scores = example("A")
    cut = score_interval(scores)
    assert isinstance(cut, Interval)
    assert cut.high == 1.0
    free = score_interval(scores_of(scores.values * 0.999, scores.folds, scores.sources))
    assert isinstance(free, Interval)
    assert free.high > 1


@pytest.mark.parametrize("seeds", [1, 2])
def test_every_clip_right_is_wilsons(seeds: int) -> None:
    interval = score_interval(accurate(0, seeds))
    assert interval == wilson(200, 200)
    assert isinstance(interval, Interval)
    assert interval.scale == "Wilson"
    assert interval.high == 1.0


def test_one_seed_on_few_folds_is_wilsons() -> None:
    interval = score_interval(scores_of([[1, 1, 1, 0]], [1, 1, 2, 2]))
    assert interval == wilson(3, 4)


def test_wilson_equals_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for successes, clips in ((0, 7), (18, 20), (20, 20), (1900, 2000)):
        interval = wilson(successes, clips, 0.9)
        expected = proportion.proportion_confint(successes, clips, alpha=0.1, method="wilson")
        assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)


def test_an_incomplete_configuration_has_no_interval() -> None:
    assert score_interval(collect("m", [], [1, 2])) == NotAvailable("m is incomplete (0/2 folds)")
