"""One configuration in numbers, pairs of configurations in counts, seeds alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.describe import ClipCounts, clip_counts, describe, probability_of_superiority
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.scores import collect
from petl_bench.stats.welch import welch_over_seeds
from tests.stats.example import UNEQUAL_FOLDS, example, scores_of


def test_published_tables_print_the_smaller_standard_deviation() -> None:
    row = describe(example("A"))
    assert isinstance(row.fold_sd, float)
    assert row.fold_sd_population == pytest.approx(row.fold_sd * np.sqrt(4 / 5))


def test_spread_needs_two_of_its_kind() -> None:
    row = describe(example("A", seeds=(0,)))
    assert row.seed_sd == NotAvailable("fewer than two seeds ran every fold")
    assert isinstance(row.fold_sd, float)
    row = describe(scores_of([[1, 0, 1], [1, 1, 1]], [1, 1, 1]))
    assert row.fold_sd == row.fold_sd_population == NotAvailable("one fold")
    assert row.seed_sd == pytest.approx(np.std([2 / 3, 1], ddof=1))


def test_a_seed_that_missed_a_fold_has_no_mean_of_its_own() -> None:
    y = [[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 1, 0]]
    row = describe(scores_of(y, [1, 1, 2, 2], missing=[(1, 0)]))
    assert row.seed_sd == pytest.approx(np.std([1, 0.25], ddof=1))


def test_unequal_folds_are_flagged_where_they_matter() -> None:
    assert not describe(example("A")).fold_sizes_matter
    row = describe(example("A", folds=UNEQUAL_FOLDS))
    assert row.fold_sizes_matter
    assert row.score == pytest.approx(0.925)
    assert row.mean_of_folds == pytest.approx((1 + 0.875 + 1 + 2 / 3 + 1) / 5)


def test_a_configuration_without_a_run_has_reasons_instead_of_numbers() -> None:
    row = describe(collect("m", [], [1]))
    assert row.score == row.fold_sd == row.seed_sd == NotAvailable("no run")
    assert not row.fold_sizes_matter


def test_superiority_counts_pairs_of_runs_of_a_fold() -> None:
    """Fold 1: run means 1 and 0 against 0.5; fold 2: a tie of one pair."""
    first = scores_of([[1, 1, 1, 1], [0, 0, 0, 0]], [1, 1, 2, 2], missing=[(2, 1)])
    second = scores_of([[1, 0, 1, 1]], [1, 1, 2, 2])
    assert probability_of_superiority(first, second) == (1 + 0 + 0.5) / 3
    assert probability_of_superiority(second, first) == 1 - (1 + 0 + 0.5) / 3


def test_clip_counts_average_over_pairs_of_runs() -> None:
    first, second = example("A"), example("B")
    counts = clip_counts(first, second)
    assert isinstance(counts, ClipCounts)
    pairs = [(a, b) for a in first.values for b in second.values]
    assert counts.both_wrong == pytest.approx(np.mean([((a == 0) & (b == 0)).sum() for a, b in pairs]))
    assert counts.only_first == pytest.approx(np.mean([((a == 1) & (b == 0)).sum() for a, b in pairs]))
    assert counts.only_second == pytest.approx(np.mean([((a == 0) & (b == 1)).sum() for a, b in pairs]))
    assert counts.only_first - counts.only_second == pytest.approx(20 * 0.325)


def test_only_right_and_wrong_can_be_counted() -> None:
    graded = scores_of([[0.3, 0.9]], [1, 1])
    assert isinstance(clip_counts(graded, graded), NotAvailable)


def test_welch_over_seeds_equals_scipy() -> None:
    random = np.random.default_rng(0)
    folds = np.repeat([1, 2], 10)
    y, z = random.standard_normal((4, 20)), random.standard_normal((3, 20))
    estimate = welch_over_seeds(scores_of(y, folds, missing=[(2, 3)]), scores_of(z, folds))
    oracle = stats.ttest_ind(y[:3].mean(axis=1), z.mean(axis=1), equal_var=False)
    assert isinstance(estimate, Estimate)
    assert estimate.p_value == pytest.approx(oracle.pvalue)
    assert estimate.degrees_of_freedom == pytest.approx(oracle.df)
    assert "exactly these clips" in estimate.estimand


def test_welch_needs_two_seeds_each_and_spread() -> None:
    assert isinstance(welch_over_seeds(example("A"), example("B", seeds=(0,))), NotAvailable)
    constant = [scores_of(np.full((2, 4), value), [1, 1, 2, 2]) for value in (0.25, 0.75)]
    estimate = welch_over_seeds(*constant)
    assert isinstance(estimate, Estimate)
    assert isinstance(estimate.p_value, NotAvailable)
