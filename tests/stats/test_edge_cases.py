"""Which test there is for the runs there are, and what is said where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.engine import contrast, fold_t, two_way
from petl_bench.stats.estimate import Estimate, Interval
from petl_bench.stats.trained_models import sign_flip
from tests.stats.example import example, scores_of

THREE_FOLDS = np.repeat([1, 2, 3], 8)


def test_one_seed_falls_back_to_folds_and_says_why() -> None:
    estimate = contrast((example("A", seeds=(0,)), example("B")), (1, -1))
    assert isinstance(estimate, Estimate)
    assert (estimate.procedure, estimate.components) == ("fold t", None)
    assert estimate.notes == ("A: one seed, seed variance not estimable; run 3 seeds or more",)
    assert "training procedures" in estimate.estimand


def test_two_folds_and_one_seed_have_no_test() -> None:
    first, second = (scores_of([values], [1, 1, 2, 2], name="m") for values in ([1, 1, 1, 0], [0, 1, 0, 0]))
    estimate = contrast((first, second), (1, -1))
    assert isinstance(estimate, Estimate)
    assert (estimate.value, estimate.procedure) == (0.5, "none")
    for figure in (estimate.p_value, estimate.standard_error, estimate.interval(), estimate.p_above(0)):
        assert figure == NotAvailable("2 folds: a fold test needs 3")


def test_one_seed_on_a_single_split_flips_signs_by_source() -> None:
    first, second = (scores_of([values], [1] * 6, [0, 0, 1, 2, 3, 4]) for values in ([1] * 6, [0] * 5 + [1]))
    estimate = contrast((first, second), (1, -1))
    assert isinstance(estimate, Estimate)
    assert estimate.procedure == "source sign-flip"
    assert estimate.p_value == sign_flip(first.seed_means - second.seed_means, first.source_codes) == 2 / 2**4
    assert "these trained models" in estimate.estimand
    assert isinstance(estimate.interval(), NotAvailable)
    alone = contrast((first,), (1,))
    assert isinstance(alone, Estimate)
    assert alone.procedure == "none"


def test_two_seeds_on_a_single_split_are_two_way() -> None:
    random = np.random.default_rng(0)
    first, second = (scores_of(random.standard_normal((seeds, 50)), [1] * 50) for seeds in (2, 3))
    estimate = contrast((first, second), (1, -1))
    assert isinstance(estimate, Estimate)
    assert estimate.procedure == "two-way"
    assert estimate.components is not None
    assert estimate.components.run_degrees_of_freedom == 2 + 3 - 2


def test_a_configuration_without_a_fold_is_not_compared() -> None:
    short = example("B", missing=[(4, 0), (4, 1)])
    assert contrast((example("A"), short), (1, -1)) == NotAvailable("B is incomplete (4/5 folds)")
    assert contrast((short,), (1,)) == NotAvailable("B is incomplete (4/5 folds)")
    assert isinstance(contrast((example("A"), short, example("C")), (1, 0, -1)), Estimate)


def test_a_fold_that_only_the_other_configuration_ran_is_missing_too() -> None:
    first = scores_of([[1, 0]], [1, 2], name="A")
    second = scores_of([[1]], [1], name="B")
    assert contrast((first, second), (1, -1)) == NotAvailable("B is incomplete (1/2 folds)")


def test_a_constant_difference_of_folds_has_no_p_value() -> None:
    """A t-test would divide by 0; scipy's answer is p = 0."""
    folds = np.repeat(np.arange(3), 10)
    worse = np.tile([1, 0, 1, 1, 1, 1, 1, 1, 1, 0], 3)
    estimate = contrast((scores_of([np.ones(30)], folds), scores_of([worse], folds)), (1, -1))
    assert isinstance(estimate, Estimate)
    reason = NotAvailable("no spread to compare the value with")
    assert estimate.value == pytest.approx(0.2)
    assert estimate.p_value == estimate.standard_error == estimate.interval() == reason
    assert estimate.notes[-1] == reason.reason


def test_folds_that_tie_on_different_clips_are_no_proof_of_equality() -> None:
    folds = np.repeat(np.arange(3), 2)
    estimate = contrast((scores_of([[1, 0] * 3], folds), scores_of([[0, 1] * 3], folds)), (1, -1))
    assert isinstance(estimate, Estimate)
    assert (estimate.value, estimate.p_value) == (0, 1)
    assert isinstance(estimate.interval(), NotAvailable)


def test_the_same_run_under_two_names_is_noticed_though_its_seeds_differ() -> None:
    """Though its runs differ from each other, too: their spread would otherwise give a standard error."""
    random = np.random.default_rng(5)
    y = random.standard_normal((3, 24)) + 5 * random.standard_normal((3, 1))
    first, again = scores_of(y, THREE_FOLDS), scores_of(y[::-1], THREE_FOLDS)
    estimate = contrast((first, again), (1, -1))
    assert isinstance(estimate, Estimate)
    assert (estimate.value, estimate.standard_error, estimate.p_value) == (0, 0, 1)
    assert estimate.interval() == Interval(0, 0)
    assert "identical predictions, same run twice?" in estimate.notes


@pytest.mark.parametrize("folds", [[1, 1, 1, 1], [1, 1, 2, 2], [1, 1, 2, 3]])
def test_the_same_run_under_two_names_is_noticed_on_any_number_of_folds(folds: list[int]) -> None:
    first, second = (scores_of([[1, 0, 1, 1]], folds, name=name) for name in "AB")
    estimate = contrast((first, second), (1, -1))
    assert isinstance(estimate, Estimate)
    assert (estimate.value, estimate.p_value, estimate.interval()) == (0, 1, Interval(0, 0))
    assert estimate.notes[-1] == "identical predictions, same run twice?"
    assert "one seed" in estimate.notes[0]


def test_every_clip_wrong_is_not_mistaken_for_identical_predictions() -> None:
    estimate = contrast([scores_of(np.zeros((2, 24)), THREE_FOLDS)], [1.0])
    assert isinstance(estimate, Estimate)
    assert "identical" not in " ".join(estimate.notes)


def test_few_sources_are_noted() -> None:
    random = np.random.default_rng(6)
    folds = np.repeat([1, 2, 3], 20)
    many, few = (scores_of(random.standard_normal((2, 60)), folds, sources) for sources in (None, np.arange(60) % 39))
    for scores, noted in ((many, False), (few, True)):
        estimate = contrast((scores,), (1,))
        assert isinstance(estimate, Estimate)
        assert any("see the fold test" in note for note in estimate.notes) is noted


def test_one_source_has_no_spread_of_sources() -> None:
    scores = scores_of([[1, 0, 1], [0, 0, 1]], [1, 2, 3], ["x"] * 3)
    assert two_way((scores,), (1,)) == fold_t((scores,), (1,)) == NotAvailable("all clips have one source")


@pytest.mark.parametrize("weights", [(1,), (0, 0)])
def test_weights_must_make_a_contrast(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (two messages)
        contrast((example("A"), example("B")), weights)
