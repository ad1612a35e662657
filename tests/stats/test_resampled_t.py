"""The corrected resampled t-test on configurations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.engine import fold_t
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.resampled_t import conservative_test, corrected_resampled_t
from tests.stats.example import example, fold_table, prints, scores_of


def test_it_averages_seeds_within_folds_and_takes_the_runs_own_ratio() -> None:
    first, second = example("A"), example("C")
    table = fold_table("AC")
    assert conservative_test(first, second) == corrected_resampled_t(table["A"] - table["C"], 0.25)
    third = replace(second, test_train_ratio=1 / 3)
    estimate = conservative_test(first, third)
    assert isinstance(estimate, Estimate)
    assert prints(estimate.p_value, ".24274981")
    assert conservative_test(third, first) != conservative_test(second, first)


def test_it_is_wider_than_the_fold_test() -> None:
    first, second = example("A"), example("B")
    conservative, by_folds = conservative_test(first, second), fold_t((first, second), (1, -1))
    assert isinstance(conservative, Estimate)
    assert isinstance(by_folds, Estimate)
    assert conservative.standard_error == pytest.approx(by_folds.standard_error * np.sqrt(1 + 5 / 4))


def test_without_a_ratio_it_is_not_guessed() -> None:
    unknown = scores_of([[1, 0, 1]], [1, 2, 3], test_train_ratio=None)
    known = scores_of([[1, 1, 1]], [1, 2, 3])
    assert conservative_test(known, unknown) == NotAvailable("the number of training clips is not known")


def test_one_fold_is_not_enough() -> None:
    assert isinstance(corrected_resampled_t([0.1], 0.25), NotAvailable)


def test_without_spread_only_a_difference_of_zero_has_a_p_value() -> None:
    none, constant = corrected_resampled_t([0, 0, 0], 0.25), corrected_resampled_t([0.1, 0.1, 0.1], 0.25)
    assert isinstance(none, Estimate)
    assert isinstance(constant, Estimate)
    assert none.p_value == 1
    assert isinstance(constant.p_value, NotAvailable)
