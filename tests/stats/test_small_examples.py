"""Small examples, digit for digit: fold differences, a table of data sets, a search of five trials."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.datasets import mean_over_datasets, new_dataset_test
from petl_bench.stats.equivalence import probability_within
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.ranks import critical_difference, friedman, mean_ranks, nemenyi
from petl_bench.stats.resampled_t import corrected_resampled_t
from petl_bench.stats.validation_curve import expected_best, expected_best_with_replacement
from tests.stats.example import bounds, example, prints

DATASETS = np.array(
    [
        [95.2, 94.1, 93.0, 90.5],
        [82.1, 83.0, 80.2, 78.8],
        [97.9, 97.9, 96.5, 95.0],
        [61.0, 60.2, 58.3, 59.1],
        [88.4, 87.0, 86.1, 83.3],
    ]
)
DIFFERENCES = (0.02, 0.01, 0.03, -0.01, 0.015)


@pytest.mark.parametrize(
    ("ratio", "t", "p_value"),
    [(0, "1.959824", ".12157921"), (1 / 4, "1.306549", ".26142395"), (1 / 3, "1.200142", ".29630201")],
)
def test_corrected_resampled_t(ratio: float, t: str, p_value: str) -> None:
    """A ratio of 0 is the plain t-test."""
    estimate = corrected_resampled_t(DIFFERENCES, ratio)
    assert isinstance(estimate, Estimate)
    assert isinstance(estimate.standard_error, float)
    assert prints(estimate.value, ".013")
    assert prints(estimate.value / estimate.standard_error, t)
    assert prints(estimate.p_value, p_value)
    if ratio == 0:
        assert prints(estimate.standard_error * math.sqrt(5), ".01483240")
        low, high = bounds(estimate.interval())
        assert prints(low, "-.005417")
        assert prints(high, ".031417")


def test_correlated_t_posterior_of_another_library() -> None:
    """Its rope-free probabilities are one-sided corrected resampled p-values, its rope ``probability_within``."""
    baycomp = pytest.importorskip("baycomp")
    quarter = corrected_resampled_t(DIFFERENCES, 1 / 4)
    assert isinstance(quarter, Estimate)
    left, right = baycomp.two_on_single(np.zeros(5), np.array(DIFFERENCES))
    assert (f"{left:.8f}", f"{right:.8f}") == ("0.13071198", "0.86928802")
    assert quarter.p_above(0) == pytest.approx(left, rel=1e-9)
    rope = baycomp.two_on_single(np.zeros(5), np.array(DIFFERENCES), rope=0.01)
    assert [f"{part:.8f}" for part in rope] == ["0.04094471", "0.34808007", "0.61097523"]
    assert probability_within(quarter, 0.01) == pytest.approx(rope[1], rel=1e-9)

    cells = [example(name).run_means.ravel() for name in "AB"]
    on_cells = corrected_resampled_t(cells[0] - cells[1], 1 / 4)
    assert isinstance(on_cells, Estimate)
    left, right = baycomp.two_on_single(cells[1], cells[0], runs=2)
    assert (f"{left:.8f}", f"{right:.8f}") == ("0.01283003", "0.98716997")
    assert on_cells.p_above(0) == pytest.approx(left, rel=1e-9)
    rope = baycomp.two_on_single(cells[1], cells[0], rope=0.05, runs=2)
    assert [f"{part:.8f}" for part in rope] == ["0.00657278", "0.01857819", "0.97484903"]
    assert probability_within(on_cells, 0.05) == pytest.approx(rope[1], rel=1e-9)


def test_ranks_over_datasets() -> None:
    assert mean_ranks(DATASETS).tolist() == pytest.approx([1.3, 1.7, 3.2, 3.8])
    test = friedman(DATASETS)
    assert not isinstance(test, NotAvailable)
    assert prints(test.chi_square, "13.04081633")
    assert prints(test.p_value, ".00454916")
    assert prints(test.iman_davenport_f, "26.625")
    assert isinstance(test.iman_davenport_p, float)
    assert f"{test.iman_davenport_p:.4e}" == "1.3720e-05"
    assert prints(test.kendall_w, ".86938776")
    assert prints(critical_difference(5, 4), "2.09760566")
    p_values = nemenyi(DATASETS)
    expected = (".961371", ".091936", ".011804", ".255856", ".049612", ".883087")
    for value, digits in zip(p_values[np.triu_indices(4, 1)], expected, strict=True):
        assert prints(float(value), digits)
    for other, digits in ((1, ".375"), (3, ".0625")):
        assert prints(float(stats.wilcoxon(DATASETS[:, 0] - DATASETS[:, other]).pvalue), digits)


def test_mean_over_datasets() -> None:
    values, errors = (1.1, -0.9, 0.0, 0.8, 1.4), (0.6, 0.9, 0.4, 1.1, 0.7)
    names = ("esc50", "gsc", "urbansound8k", "fsc", "own")
    by_dataset = {
        name: Estimate(value, error, math.inf, 1.0, "two-way")
        for name, value, error in zip(names, values, errors, strict=True)
    }
    mean = mean_over_datasets(by_dataset)
    assert isinstance(mean, Estimate)
    assert prints(mean.value, ".48")
    assert prints(mean.standard_error, ".34813790")
    assert prints(mean.p_value, ".16796754")
    new = new_dataset_test(values)
    assert isinstance(new, Estimate)
    assert isinstance(new.standard_error, float)
    assert prints(new.value / new.standard_error, "1.15270106")
    assert prints(new.p_value, ".31323131")


def test_weights_by_precision_answer_another_question() -> None:
    """A meta-analysis of the same differences lets the large data sets decide; the mean here does not."""
    meta = pytest.importorskip("statsmodels.stats.meta_analysis")
    values, errors = np.array([1.1, -0.9, 0.0, 0.8, 1.4]), np.array([0.6, 0.9, 0.4, 1.1, 0.7])
    result = meta.combine_effects(values, errors**2, method_re="dl")
    assert prints(float(result.mean_effect_fe), ".416063")
    assert prints(float(result.sd_eff_w_fe), ".275978")
    assert prints(float(result.mean_effect_re), ".483728")
    assert prints(float(result.sd_eff_w_re), ".388162")
    assert prints(float(result.q), "6.61719089")
    equal = {str(d): Estimate(value, 0.5, math.inf, 1.0, "two-way") for d, value in enumerate(values.tolist())}
    mean, oracle = mean_over_datasets(equal), meta.combine_effects(values, np.full(5, 0.25), method_re="dl")
    assert isinstance(mean, Estimate)
    assert (mean.value, mean.standard_error) == pytest.approx((oracle.mean_effect_fe, oracle.sd_eff_w_fe))


def test_expected_best_of_a_search() -> None:
    scores = (0.90, 0.92, 0.88, 0.94, 0.91)
    for value, digits in zip(expected_best(scores), (".91", ".924", ".931", ".936", ".94"), strict=True):
        assert prints(float(value), digits)
    expected = (".91", ".9212", ".9268", ".930224", ".93256")
    for value, digits in zip(expected_best_with_replacement(scores), expected, strict=True):
        assert prints(float(value), digits)
