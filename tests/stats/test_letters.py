"""Letters: sharing one means "not different", for every graph of differences."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.letters import compact_letters, not_worse_than_best

NAMES = "PQRSTUVW"
PAIRS = list(combinations(NAMES, 2))
SCORES = {name: 0.9 - 0.01 * position for position, name in enumerate(NAMES)}


@settings(deadline=None)
@given(st.sets(st.sampled_from(PAIRS)))
def test_methods_share_a_letter_exactly_where_they_are_not_different(different: set[tuple[str, str]]) -> None:
    letters = compact_letters(SCORES, different)
    assert not isinstance(letters, NotAvailable)
    for first, second in PAIRS:
        assert bool(set(letters[first]) & set(letters[second])) == ((first, second) not in different)
    assert all(letters.values())


@settings(deadline=None, max_examples=50)
@given(st.sets(st.sampled_from(PAIRS)))
def test_letters_equal_scikit_posthocs(different: set[tuple[str, str]]) -> None:
    """Up to the naming of the letters."""
    posthocs = pytest.importorskip("scikit_posthocs")
    letters = compact_letters(SCORES, different)
    assert not isinstance(letters, NotAvailable)
    matrix = pd.DataFrame(1.0, index=list(NAMES), columns=list(NAMES))
    for first, second in different:
        matrix.loc[first, second] = matrix.loc[second, first] = 0.01
    oracle = posthocs.compact_letter_display(matrix, alpha=0.05)

    def groups(by_name: dict[str, str]) -> set[frozenset[str]]:
        alphabet = set("".join(by_name.values())) - {" "}
        return {frozenset(name for name in NAMES if letter in by_name[name]) for letter in alphabet}

    assert groups(letters) == groups(dict(oracle))


def test_the_best_method_has_the_first_letter() -> None:
    assert compact_letters({"low": 0.1, "high": 0.9, "mid": 0.5}, [("low", "high")]) == {
        "high": "a", "mid": "ab", "low": "b",
    }  # fmt: skip


def test_a_letter_may_skip_a_method() -> None:
    """The middle method is measured precisely, the outer two are not."""
    different = [("high", "mid"), ("mid", "low")]
    assert compact_letters({"high": 0.9, "mid": 0.5, "low": 0.1}, different) == {"high": "a", "mid": "b", "low": "a"}


def test_nine_methods_have_no_letters() -> None:
    scores = {str(number): float(number) for number in np.arange(9)}
    assert compact_letters(scores, []) == NotAvailable("letters are for 8 methods at most")


def test_the_best_is_marked_with_all_that_do_not_differ_from_it() -> None:
    assert not_worse_than_best(SCORES, [("P", "Q"), ("R", "S")]) == tuple("PRSTUVW")
    assert not_worse_than_best({}, []) == ()


def test_of_two_best_either_will_do() -> None:
    scores = {"a": 0.9, "b": 0.9 + 1e-16, "c": 0.5, "d": 0.5}
    assert not_worse_than_best(scores, [("a", "c"), ("a", "d"), ("d", "b")]) == ("a", "b", "c")
