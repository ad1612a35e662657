"""A family of comparisons: who is compared, how it is adjusted, and what may be said."""

from __future__ import annotations

import numpy as np
import pytest

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.comparisons import Comparison, Verdict, compare, verdict
from petl_bench.stats.describe import ClipCounts
from petl_bench.stats.engine import fold_t
from petl_bench.stats.equivalence import against_margin
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.multiplicity import holm
from petl_bench.stats.resampled_t import conservative_test
from petl_bench.stats.scores import Scores, collect
from tests.stats.example import example, scores_of

FOLDS = np.repeat([1, 2, 3, 4, 5], 40)


def of_accuracy(name: str, accuracy: float, seeds: int = 3) -> Scores:
    random = np.random.default_rng(int(1000 * accuracy))
    return scores_of(random.random((seeds, 200)) < accuracy, FOLDS, name=name)


def rows_of(names: str, **options: object) -> list[Comparison]:
    return list(compare([example(name) for name in names], **options).rows)  # type: ignore[arg-type]


def test_all_pairs_are_adjusted_over_all_pairs() -> None:
    rows = rows_of("ABC")
    assert [(row.method, row.reference) for row in rows] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [row.holm_p for row in rows] == holm([row.difference.p_value for row in rows])


def test_a_baseline_makes_the_family_smaller_and_leaves_the_letters_to_all_pairs() -> None:
    everything = compare([example(name) for name in "ABC"])
    result = compare([example(name) for name in "ABC"], baseline="B")
    assert [(row.method, row.reference) for row in result.rows] == [("A", "B"), ("C", "B")]
    assert [row.holm_p for row in result.rows] == holm([row.difference.p_value for row in result.rows])
    assert result.rows[1].difference.value == pytest.approx(0.2)
    assert result.letters == everything.letters
    assert result.not_worse_than_best == everything.not_worse_than_best == ("A", "C")


def test_a_row_holds_the_tests_beside_the_default() -> None:
    first, second = example("A"), example("B")
    (row,) = compare((first, second)).rows
    assert row.conservative == conservative_test(first, second)
    assert row.fold_test == fold_t((first, second), (1, -1))  # few sources
    assert row.margin_test is None
    assert row.probability_of_superiority == 0.975
    assert isinstance(row.clip_counts, ClipCounts)
    assert compare([of_accuracy("a", 0.5), of_accuracy("b", 0.6)]).rows[0].fold_test is None  # many sources


def test_margin_tests_are_adjusted_over_the_family_printed() -> None:
    rows = rows_of("ABC", baseline="A", margin=0.3)
    assert [row.margin_test for row in rows] == against_margin([row.difference for row in rows], 0.3)


def difference(value: float, error: float = 0.005) -> Estimate:
    return Estimate(value, error, 60, 0.5, "two-way")


@pytest.mark.parametrize(
    ("value", "holm_p", "margin", "text"),
    [
        (0.02, 0.01, None, "better"),
        (-0.02, 0.01, None, "worse"),
        (-0.02, 0.05, None, "inconclusive"),
        (0.0, 0.9, 0.02, "equivalent"),
        (0.015, 0.09, 0.02, "non-inferior"),
        (-0.015, 0.09, 0.02, "inconclusive"),
        (-0.03, 0.01, 0.05, "worse, within the margin"),
        (0.03, 0.01, 0.05, "better, within the margin"),
        (0.06, 0.01, 0.05, "better"),
        (-0.06, 0.01, 0.05, "worse"),
    ],
)
def test_verdicts(value: float, holm_p: float, margin: float | None, text: str) -> None:
    estimate = difference(value)
    tests = against_margin([estimate], margin) if margin else [None]
    assert str(verdict(estimate, holm_p, tests[0])) == text


def test_a_verdict_uses_the_adjusted_margin_test() -> None:
    """Equivalent on its own, not beside two others."""
    family = [difference(-0.0110), difference(-0.0110), difference(-0.0110)]
    alone, within = against_margin(family[:1], 0.02)[0], against_margin(family, 0.02)[0]
    assert verdict(family[0], 0.2, alone) == Verdict(None, "equivalent")
    assert verdict(family[0], 0.2, within) == Verdict(None, None)


def test_without_a_test_there_is_no_verdict() -> None:
    pair = [scores_of([values], [1, 2], name=name) for name, values in (("a", (1, 0)), ("b", (0, 1)))]
    (row,) = compare(pair, margin=0.1).rows
    assert row.verdict == row.holm_p == NotAvailable("2 folds: a fold test needs 3")


def test_a_large_difference_is_found_and_the_best_is_marked() -> None:
    result = compare([of_accuracy("low", 0.6), of_accuracy("high", 0.9)])
    assert str(result.rows[0].verdict) == "worse"
    assert result.letters == {"high": "a", "low": "b"}
    assert result.not_worse_than_best == ("high",)


def test_an_incomplete_configuration_is_named_and_compared_with_nobody() -> None:
    result = compare([example("A"), example("B", missing=[(2, 0), (2, 1)]), example("C")])
    assert result.incomplete == {"B": "incomplete (4/5 folds)"}
    assert [(row.method, row.reference) for row in result.rows] == [("A", "C")]
    assert result.rows[0].holm_p == result.rows[0].difference.p_value
    assert set(result.letters) == {"A", "C"}  # type: ignore[arg-type]
    assert "B" not in result.not_worse_than_best


def test_an_incomplete_baseline_leaves_no_comparison() -> None:
    result = compare([example("A"), collect("B", [], range(5)), example("C")], baseline="B")
    assert result.rows == ()
    assert result.incomplete == {"B": "incomplete (0/5 folds)"}
    assert result.not_worse_than_best == ("A",)


def test_notes_about_the_clips_are_made_once() -> None:
    result = compare([scores_of(np.eye(4)[:2], [1, 1, 2, 2], list("xyyz"), name=name) for name in "abc"])
    assert result.notes == ("some sources have clips in more than one fold; they are clustered by source all the same",)


def test_names_and_margins_are_checked() -> None:
    with pytest.raises(ValueError, match="names of their own"):
        compare([example("A"), example("A")])
    with pytest.raises(ValueError, match="the baseline X is none of A, B"):
        compare([example("A"), example("B")], baseline="X")
    with pytest.raises(ValueError, match="a margin must be positive, got 0"):
        compare([example("A"), example("B")], margin=0)
