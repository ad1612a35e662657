"""A manifest's folds, splits and groups: drawn, given, or refused in one line."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from petl_bench.errors import UserError
from tests.benchmarks.folders import manifest, open_manifest


def test_a_manifest_without_folds_has_them_drawn_with_groups_whole(tmp_path: Path) -> None:
    """Eight speakers of five clips each, two words; the draw depends on the seed, not on the order of the rows."""
    rows = [f"clips/{s}-{at}.wav,{'yes' if at % 2 else 'no'},speaker{s}" for s in range(8) for at in range(5)]
    dataset = open_manifest(manifest(tmp_path, rows, "path,label,group"), folds=4)
    folds = defaultdict(set)
    for clip in dataset.clips:
        folds[clip.group].add(clip.fold)
    assert all(len(found) == 1 for found in folds.values())
    assert Counter(clip.fold for clip in dataset.clips) == dict.fromkeys(range(1, 5), 10)
    assert dataset.notes() == []
    drawn = {clip.id: clip.fold for clip in dataset.clips}
    again = open_manifest(manifest(tmp_path, rows[::-1], "path,label,group"), folds=4)
    assert {clip.id: clip.fold for clip in again.clips} == drawn
    other = open_manifest(tmp_path, folds=4, split_seed=1)
    assert {clip.id: clip.fold for clip in other.clips} != drawn
    assert other.fingerprint != again.fingerprint


def test_a_manifest_may_have_folds_or_splits_of_its_own(tmp_path: Path) -> None:
    rows = [f"{fold}{label}.wav,{label},{fold}" for fold in (1, 2, 3) for label in "ab"]
    dataset = open_manifest(manifest(tmp_path, rows, "path,label,fold"), folds=3)
    assert [clip.fold for clip in dataset.clips] == [1, 1, 2, 2, 3, 3]
    rows = [f"{split}{label}.wav,{label},{split}" for split in ("train", "Valid", "test") for label in "ab"]
    dataset = open_manifest(manifest(tmp_path, rows, "path,label,split"), folds=1, validation="official")
    assert [clip.part for clip in dataset.clips] == ["train", "train", "validation", "validation", "test", "test"]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("path,label", ["/etc/passwd,a", "b.wav,b"], "'/etc/passwd' does not stand below the folder"),
        ("path,label", ["a/../../x.wav,a", "b.wav,b"], "does not stand below the folder"),
        ("path,label", ["C:\\x.wav,a", "b.wav,b"], "does not stand below the folder"),
        ("path,label", ["a.wav,", "b.wav,b"], "a.wav has no label"),
        ("path,label,group", ["a.wav,a,", "b.wav,b,g"], "a.wav has no group"),
        ("path,label,fold,split", ["a.wav,a,1,train", "b.wav,b,1,train"], "has both fold and split"),
        (
            "path,label,split",
            ["a.wav,a,rest", "b.wav,b,train"],
            "split 'rest' of a.wav: one of train, validation, test",
        ),
        ("path,label,split", ["a.wav,a,train", "b.wav,b,test"], "the clips have splits of their own"),
        ("path,label,fold", ["a.wav,a,x", "b.wav,b,1"], "folds must be whole numbers"),
        ("path,label,fold", ["a.wav,a,9", "b.wav,b,1"], "clip a.wav is in fold 9: the data set has folds 1 to 5"),
        ("path,label", ["a.wav,a", "b.wav,b"], "2 groups cannot be parted into 5 folds"),
        ("path,label", ["a.wav,a", "a.wav,a"], "listed more than once"),
        ("file,label", ["a.wav,a"], "needs rows with the columns path, label"),
    ],
)
def test_a_manifest_that_is_wrong_is_one_clear_line(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        open_manifest(manifest(tmp_path, rows, header))
    assert "\n" not in str(error.value)
