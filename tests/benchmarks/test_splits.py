"""Splits: the published rotation, official lists, and held-out parts that keep groups whole."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from petl_bench.benchmarks.dataset import Clip, Dataset
from petl_bench.benchmarks.layouts.synthetic import Synthetic
from petl_bench.benchmarks.split_checks import split_problems
from petl_bench.benchmarks.splits import Split, split
from petl_bench.cards import Protocol
from petl_bench.errors import UserError

ROTATION = Protocol(folds=5, validation="previous_fold")
HELD_OUT = Protocol(folds=5, validation="held_out")


def dataset_of(clips: list[Clip]) -> Dataset:
    names = tuple(sorted({clip.label for clip in clips}))
    return Dataset("some", tuple(clips), names, "0", Synthetic(Path()))


SYNTHETIC = dataset_of(Synthetic(Path()).scan())


def folds_in(indices: np.ndarray) -> set[int | None]:
    return {SYNTHETIC.clips[index].fold for index in indices}


def assert_partition(found: Split) -> None:
    together = np.concatenate([found.train, found.validation, found.test])
    assert len(np.unique(together)) == len(together) == len(SYNTHETIC.clips)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [({1, 2, 3}, 4, 5), ({2, 3, 4}, 5, 1), ({3, 4, 5}, 1, 2), ({4, 5, 1}, 2, 3), ({5, 1, 2}, 3, 4)],
)
def test_the_published_rotation(train: set[int], validation: int, test: int) -> None:
    """arXiv 2312.03694, released code: the five (train, validation, test) triples."""
    found = split(SYNTHETIC, ROTATION, test)
    assert (folds_in(found.train), folds_in(found.validation), folds_in(found.test)) == (train, {validation}, {test})
    assert_partition(found)


@pytest.mark.parametrize("fold", range(1, 6))
def test_a_held_out_tenth_is_stratified_and_keeps_groups_whole(fold: int) -> None:
    found = split(SYNTHETIC, HELD_OUT, fold)
    assert_partition(found)
    assert folds_in(found.test) == {fold}
    groups = SYNTHETIC.groups
    assert not set(groups[found.validation]) & set(groups[found.train])
    counts = np.bincount(SYNTHETIC.targets[found.validation], minlength=10)
    assert 28 <= counts.sum() <= 36
    assert counts.min() >= 2
    assert counts.max() <= 4


def test_a_held_out_part_is_as_large_as_its_card_says() -> None:
    quarter = split(SYNTHETIC, Protocol(folds=5, validation="held_out", held_out=0.25), 1)
    assert len(quarter.validation) == pytest.approx(80, abs=4)
    with pytest.raises(ValidationError, match=r"held_out = 0.4 is not one part in a whole number"):
        Protocol(folds=5, validation="held_out", held_out=0.4)


def test_the_held_out_part_comes_from_split_seed_alone() -> None:
    first, again = split(SYNTHETIC, HELD_OUT, 2), split(SYNTHETIC, HELD_OUT, 2)
    assert np.array_equal(first.validation, again.validation)
    other = split(SYNTHETIC, Protocol(folds=5, validation="held_out", split_seed=1), 2)
    assert not np.array_equal(first.validation, other.validation)


def test_official_lists_are_taken_as_they_are() -> None:
    parts = ["train", "test", "validation", "train"]
    clips = [Clip(str(i), "ab"[i % 2], str(i), part=part) for i, part in enumerate(parts)]  # type: ignore[arg-type]
    found = split(dataset_of(clips), Protocol(), 1)
    assert [indices.tolist() for indices in vars(found).values()] == [[0, 3], [2], [1]]


def test_an_empty_part_is_refused() -> None:
    clips = [Clip("a", "x", "a", part="train"), Clip("b", "y", "b", part="test")]
    with pytest.raises(UserError, match="some: fold 1 has no validation clips"):
        split(dataset_of(clips), Protocol(), 1)


def test_few_shots_are_drawn_by_seed_and_grow_by_addition() -> None:
    """So many training clips of every class; validation and test stay; more shots hold the fewer ones."""
    whole = split(SYNTHETIC, ROTATION, 1)
    drawn = {}
    for shots in (1, 2, 8):
        for seed in (0, 1):
            few = split(SYNTHETIC, ROTATION.model_copy(update={"shots": shots}), 1, seed)
            assert np.bincount(SYNTHETIC.targets[few.train]).tolist() == [shots] * 10
            assert set(few.train) <= set(whole.train)
            np.testing.assert_array_equal(few.validation, whole.validation)
            np.testing.assert_array_equal(few.test, whole.test)
            drawn[shots, seed] = set(few.train)
    assert drawn[1, 0] < drawn[2, 0] < drawn[8, 0]
    assert drawn[8, 0] != drawn[8, 1]


def test_more_shots_than_there_are_is_one_clear_line() -> None:
    with pytest.raises(
        UserError, match=r"protocol.shots = 30, but fold 1 has 24 training clips of class 'noise_falling'"
    ):
        split(SYNTHETIC, ROTATION.model_copy(update={"shots": 30}), 1)


def few_clips(counts: dict[str, int]) -> Dataset:
    """So many clips per label, dealt to five folds."""
    return dataset_of(
        [
            Clip(f"{label}-{number}", label, f"{label}-{number}", fold=number % 5 + 1)
            for label, count in counts.items()
            for number in range(count)
        ]
    )


def test_too_few_clips_to_hold_out_a_tenth_are_refused_with_what_to_do() -> None:
    with pytest.raises(UserError, match="no class has so many clips.*held_out to 0.2 or more, or .*'previous_fold'"):
        split(few_clips({"a": 8, "b": 8}), HELD_OUT, 1)
    in_one_fold = dataset_of(
        [Clip(f"{label}{at}", label, f"{label}{at}", fold=1) for label in "ab" for at in range(20)]
    )
    with pytest.raises(UserError, match="fold 1: cannot hold out 1 part in 10"):
        split(in_one_fold, HELD_OUT, 1)
    assert split(few_clips({"a": 8, "b": 8}), ROTATION, 1).validation.size == 2


def test_classes_that_a_part_lacks_are_named_fold_by_fold(recwarn: pytest.WarningsRecorder) -> None:
    found = split_problems(few_clips({"a": 5, "b": 5, "c": 20}), HELD_OUT)
    assert found
    assert all(re.fullmatch(r"some: fold \d has no validation clip of [ab](, [ab])?", line) for line in found)
    assert split_problems(SYNTHETIC, HELD_OUT) == []
    assert split_problems(few_clips({"a": 3, "b": 20}), ROTATION) == [
        "some: fold 1 has no validation clip of a",
        "some: fold 4 has no test clip of a",
        "some: fold 5 has no validation clip of a",
        "some: fold 5 has no test clip of a",
    ]
    assert not recwarn.list
