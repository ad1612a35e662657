"""Several data sets: the mean over these, the claim about new ones, wins and losses."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.datasets import WinsTiesLosses, mean_over_datasets, new_dataset_test, wins_ties_losses
from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Estimate
from tests.stats.example import example, scores_of


def test_degrees_of_freedom_follow_satterthwaite() -> None:
    mean = mean_over_datasets(
        {"esc50": Estimate(0.02, 0.01, 30, 0.1, "two-way"), "gsc": Estimate(0.01, 0.002, 8, 0.1, "two-way")}
    )
    assert isinstance(mean, Estimate)
    assert mean.value == pytest.approx(0.015)
    assert mean.standard_error == pytest.approx(math.sqrt(0.01**2 + 0.002**2) / 2)
    assert mean.degrees_of_freedom == pytest.approx((0.01**2 + 0.002**2) ** 2 / (0.01**4 / 30 + 0.002**4 / 8))


def test_identical_predictions_on_one_data_set_add_no_variance() -> None:
    same = contrast((example("A"), example("A")), (1, -1))
    assert isinstance(same, Estimate)
    mean = mean_over_datasets({"esc50": same, "gsc": Estimate(0.02, 0.004, 9, 0.1, "two-way")})
    assert isinstance(mean, Estimate)
    assert (mean.value, mean.standard_error, mean.degrees_of_freedom) == pytest.approx((0.01, 0.002, 9))
    everywhere = mean_over_datasets({"esc50": same, "gsc": same})
    assert isinstance(everywhere, Estimate)
    assert (everywhere.standard_error, everywhere.p_value) == (0, 1)


def test_a_data_set_without_a_standard_error_leaves_no_mean() -> None:
    single = contrast((scores_of([[1, 1]], [1, 1]), scores_of([[0, 1]], [1, 1])), (1, -1))
    assert isinstance(single, Estimate)
    assert mean_over_datasets({"gsc": single}) == NotAvailable("gsc: 1 fold: a fold test needs 3")


def test_the_claim_about_new_data_sets_is_a_t_test_over_data_sets() -> None:
    differences = [0.02, 0.01, -0.005, 0.03]
    estimate = new_dataset_test(differences)
    assert isinstance(estimate, Estimate)
    assert estimate.p_value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert "low power" in estimate.estimand


def test_two_data_sets_say_nothing_about_new_ones() -> None:
    assert new_dataset_test([0.02, 0.03]) == NotAvailable("2 data sets: a claim about new ones needs 3")
    constant = new_dataset_test([0.02, 0.02, 0.02])
    assert isinstance(constant, Estimate)
    assert isinstance(constant.p_value, NotAvailable)


def test_only_significant_differences_win_or_lose() -> None:
    outcomes = [(0.02, 0.01), (0.04, 0.2), (-0.02, 0.049), (-0.01, 0.05), (0.5, NotAvailable("one fold"))]
    assert wins_ties_losses(outcomes) == WinsTiesLosses(wins=1, ties=2, losses=1)
