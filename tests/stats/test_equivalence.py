"""Margins: two one-sided tests against another library, and the bound that decides."""

from __future__ import annotations

import numpy as np
import pytest

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.engine import contrast, fold_t
from petl_bench.stats.equivalence import against_margin, probability_within
from petl_bench.stats.estimate import Estimate, Interval
from petl_bench.stats.multiplicity import holm
from tests.stats.example import example, fold_table, scores_of


def test_two_one_sided_tests_equal_statsmodels_on_folds() -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    table = fold_table("AC")
    estimate = fold_t((example("A"), example("C")), (1, -1))
    assert isinstance(estimate, Estimate)
    for margin in (0.05, 0.15, 0.4):
        p_value, lower, _ = weightstats.ttost_paired(table["A"], table["C"], -margin, margin)
        (test,) = against_margin([estimate], margin)
        assert test.equivalence_p == pytest.approx(p_value, rel=1e-10)
        assert test.non_inferiority_p == pytest.approx(lower[1], rel=1e-10)


@pytest.mark.parametrize("value", [-0.03, -0.012, -0.01, 0.0, 0.01, 0.012, 0.03])
def test_p_values_and_the_90_percent_interval_agree(value: float) -> None:
    for error in (0.002, 0.0055, 0.006, 0.02):  # with the second, +-0.01 is decided between 90% and 95%
        (test,) = against_margin([Estimate(value, error, 20, 0.5, "two-way")], 0.02)
        assert isinstance(test.interval, Interval)
        assert isinstance(test.non_inferiority_p, float)
        assert isinstance(test.equivalence_p, float)
        assert (test.non_inferiority_p < 0.05) == (test.interval.low > -0.02)
        assert (test.equivalence_p < 0.05) == (test.interval.low > -0.02 and test.interval.high < 0.02)


def test_a_large_p_value_is_no_evidence_of_equality() -> None:
    (test,) = against_margin([Estimate(0.001, 0.05, 20, 0.98, "two-way")], 0.01)
    assert isinstance(test.equivalence_p, float)
    assert test.equivalence_p > 0.3


def test_margin_tests_are_adjusted_over_their_family() -> None:
    family = [Estimate(value, 0.006, 20, 0.5, "two-way") for value in (0.0, -0.01, 0.01)]
    tests = against_margin(family, 0.02)
    assert [test.holm_non_inferiority_p for test in tests] == holm([test.non_inferiority_p for test in tests])
    assert [test.holm_equivalence_p for test in tests] == holm([test.equivalence_p for test in tests])
    assert tests[0].holm_equivalence_p != tests[0].equivalence_p


def test_identical_predictions_are_within_any_margin() -> None:
    estimate = contrast((example("A"), example("A")), (1, -1))
    assert isinstance(estimate, Estimate)
    (test,) = against_margin([estimate], 0.001)
    assert (test.interval, test.non_inferiority_p, test.equivalence_p) == (Interval(0, 0), 0, 0)
    assert probability_within(estimate, 0.001) == 1


def test_without_a_standard_error_there_is_no_margin_test() -> None:
    estimate = contrast((scores_of([[1, 1]], [1, 2]), scores_of([[0, 1]], [1, 2])), (1, -1))
    assert isinstance(estimate, Estimate)
    (test,) = against_margin([estimate], 0.5)
    for figure in (test.interval, test.non_inferiority_p, test.equivalence_p, test.holm_equivalence_p):
        assert isinstance(figure, NotAvailable)
    assert isinstance(probability_within(estimate, 0.5), NotAvailable)


@pytest.mark.parametrize("margin", [0, -0.01, np.nan])
def test_a_margin_is_positive(margin: float) -> None:
    with pytest.raises(ValueError, match="a margin must be positive"):
        against_margin([], margin)
