"""Ranks over data sets against scipy and scikit-posthocs, and when they are refused."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.multiplicity import holm
from petl_bench.stats.ranks import (
    RankComparison,
    compare_ranks,
    critical_difference,
    friedman,
    mean_ranks,
    nemenyi,
    ranks,
)

TABLE = np.random.default_rng(0).integers(0, 6, (9, 4)) + np.array([0.0, 0.5, 2.0, 4.0])


def test_equal_scores_share_their_mean_rank() -> None:
    assert ranks([0.9, 0.95, 0.9, 0.1]).tolist() == [2.5, 1, 2.5, 4]
    assert np.array_equal(mean_ranks(TABLE), stats.rankdata(-TABLE, axis=1).mean(axis=0))


def test_friedman_equals_scipy_with_ties() -> None:
    tied = np.random.default_rng(1).integers(0, 3, (7, 4)).astype(float)
    for table in (TABLE, tied):
        found, oracle = friedman(table), stats.friedmanchisquare(*table.T)
        assert not isinstance(found, NotAvailable)
        assert (found.chi_square, found.p_value) == pytest.approx((oracle.statistic, oracle.pvalue))


def test_friedman_where_data_sets_agree_or_say_nothing() -> None:
    agree = friedman(np.tile([3.0, 2.0, 1.0], (3, 1)))
    assert not isinstance(agree, NotAvailable)
    assert agree.kendall_w == 1
    assert agree.p_value == pytest.approx(0.0498, abs=5e-5)
    assert isinstance(agree.iman_davenport_p, NotAvailable)
    assert friedman(np.ones((4, 3))) == NotAvailable("all methods tie on every data set")
    assert isinstance(friedman(np.ones((1, 3))), NotAvailable)


@pytest.mark.parametrize(("methods", "expected"), [(3, 1.48), (4, 2.10), (6, 3.37), (8, 4.70), (12, 7.45)])
def test_critical_difference_of_five_data_sets(methods: int, expected: float) -> None:
    assert critical_difference(5, methods) == pytest.approx(expected, abs=0.005)


def test_with_two_data_sets_no_pair_can_ever_differ() -> None:
    assert all(critical_difference(2, methods) > methods - 1 for methods in range(3, 13))


def test_nemenyi_equals_scikit_posthocs() -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    assert nemenyi(TABLE) == pytest.approx(posthocs.posthoc_nemenyi_friedman(TABLE).to_numpy(), abs=1e-8)


def test_rank_tests_are_refused_where_they_cannot_reject() -> None:
    """Five data sets, the first method best on all: still p = 0.0625."""
    table = np.column_stack([np.arange(5) + 1.0, np.zeros(5)])
    assert stats.wilcoxon(table[:, 0]).pvalue == 0.0625
    assert compare_ranks(table) == NotAvailable("5 data sets: a rank test needs 6 (smallest p-value 0.0625)")


def test_pairs_of_methods_are_compared_by_wilcoxon_with_holm() -> None:
    result = compare_ranks(TABLE)
    assert isinstance(result, RankComparison)
    pairs = list(combinations(range(4), 2))
    raw = [stats.wilcoxon(TABLE[:, a], TABLE[:, b]).pvalue for a, b in pairs]
    assert list(result.holm_p) == pairs
    assert list(result.holm_p.values()) == pytest.approx(holm(raw))
    assert result.notes == ("only 9 data sets: rank tests are reliable from 10",)
    assert result.mean_ranks == tuple(mean_ranks(TABLE))


def test_two_methods_that_never_differ_have_p_value_one() -> None:
    table = np.column_stack([np.arange(10.0), np.arange(10.0), np.arange(10.0) + 1])
    result = compare_ranks(table)
    assert isinstance(result, RankComparison)
    assert result.holm_p[0, 1] == 1
    assert result.notes == ()
