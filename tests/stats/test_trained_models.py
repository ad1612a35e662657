"""Sign-flips and McNemar: exact counts by enumeration, random ones close to them, both reproducible."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from petl_bench.stats.trained_models import mcnemar, sign_flip


def test_exact_sign_flip_equals_enumeration_and_scipy() -> None:
    random = np.random.default_rng(0)
    differences, sources = random.normal(0.4, 1, 30), random.integers(0, 9, 30)
    totals = np.bincount(sources, weights=differences)
    sums = [abs(np.dot(signs, totals)) for signs in product((1, -1), repeat=len(totals))]
    expected = np.mean([value >= abs(totals.sum()) - 1e-12 for value in sums])
    assert sign_flip(differences, sources) == expected
    oracle = stats.permutation_test((totals,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert expected == pytest.approx(oracle.pvalue)


def test_sources_without_a_difference_change_nothing() -> None:
    differences, sources = np.array([1.0, 1.0, 1.0, -1.0]), np.array([0, 1, 2, 3])
    padded = np.concatenate([differences, np.zeros(50), [0.5, -0.5]])
    assert sign_flip(padded, np.concatenate([sources, np.arange(4, 54), [54, 54]])) == sign_flip(differences, sources)


def test_clips_of_a_source_are_flipped_together() -> None:
    differences = np.ones(20)
    assert sign_flip(differences, np.repeat([0, 1], 10)) == 2 / 2**2
    assert sign_flip(differences[:14], np.arange(14)) == 2 / 2**14


def test_many_sources_are_flipped_at_random_and_reproducibly() -> None:
    random = np.random.default_rng(1)
    differences = random.normal(0.3, 1, 60)
    sources = np.arange(60)
    first = sign_flip(differences, sources)
    assert first == sign_flip(differences, sources)
    assert first == sign_flip(differences, sources, np.random.default_rng(0))
    assert first != sign_flip(differences, sources, np.random.default_rng(1))
    assert first == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)
    assert (first * 10_000) == pytest.approx(round(first * 10_000))


def test_a_random_p_value_is_never_zero() -> None:
    assert sign_flip(np.ones(40), np.arange(40)) == 1 / 10_000


def test_no_difference_at_all() -> None:
    assert sign_flip(np.zeros(5), np.arange(5)) == 1
    assert mcnemar(0, 0) == 1


def test_mcnemar_equals_the_binomial_test() -> None:
    for first, second in ((1, 0), (7, 2), (3, 3), (0, 12)):
        assert mcnemar(first, second) == pytest.approx(stats.binomtest(first, first + second).pvalue)


def test_mcnemar_equals_statsmodels() -> None:
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    assert mcnemar(9, 2) == pytest.approx(contingency.mcnemar([[50, 9], [2, 5]], exact=True).pvalue)
