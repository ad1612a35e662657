"""Families and adjusted p-values against other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.multiplicity import benjamini_hochberg, family, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_holm_equals_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    random = np.random.default_rng(0)
    for count in (1, 2, 5, 20):
        values = random.random(count).round(1) ** 2  # with ties
        assert holm(values.tolist()) == pytest.approx(multitest.multipletests(values, method="holm")[1].tolist())


@settings(deadline=None)
@given(p_values)
def test_benjamini_hochberg_equals_scipy(values: list[float]) -> None:
    assert benjamini_hochberg(values) == pytest.approx(stats.false_discovery_control(values).tolist())


@settings(deadline=None)
@given(p_values)
def test_holm_keeps_the_order_and_never_lowers_a_p_value(values: list[float]) -> None:
    adjusted = np.array(holm(values), dtype=float)
    assert (adjusted >= np.array(values)).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(values, kind="stable")]) >= 0).all()


def test_one_comparison_is_not_adjusted_and_none_is_none() -> None:
    assert holm([0.03]) == [0.03]
    assert holm([]) == benjamini_hochberg([]) == []


def test_what_was_not_tested_counts_for_nothing() -> None:
    gone = NotAvailable("one fold")
    assert holm([0.04, gone, 0.01]) == [0.04, gone, 0.02]
    assert benjamini_hochberg([gone, 0.04, 0.01]) == [gone, 0.04, 0.02]


def test_a_baseline_makes_a_small_family_and_the_best_does_not() -> None:
    assert family(["full", "lora", "linear"], baseline="full") == [("lora", "full"), ("linear", "full")]
    assert family(["full", "lora", "linear"]) == [("full", "lora"), ("full", "linear"), ("lora", "linear")]
    with pytest.raises(ValueError, match="the baseline nobody is none of full, lora"):
        family(["full", "lora"], baseline="nobody")
