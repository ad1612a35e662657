"""Data sets as they are distributed, on small folders made here and on the real ones where they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from petl_bench.benchmarks.dataset import Dataset, open_dataset
from petl_bench.benchmarks.layouts.synthetic import Synthetic
from petl_bench.errors import UserError
from tests.benchmarks.folders import card_of, write_wav

ESC_HEADER = "filename,fold,target,category,esc10,src_file,take\n"


@pytest.fixture
def esc(tmp_path: Path) -> Path:
    """Three classes with target numbers out of alphabetical order, one clip a fold; one source in two folds."""
    rows = []
    for target, category in ((7, "cat"), (3, "dog"), (40, "bee")):
        for fold in range(1, 6):
            name = f"{fold}-{target}-A.wav"
            write_wav(tmp_path / "audio" / name, seed=10 * target + fold)
            source = "shared" if (target, fold) in ((7, 1), (40, 2)) else f"{target}{fold}"
            rows.append(f"{name},{fold},{target},{category},True,{source},A\n")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text(ESC_HEADER + "".join(rows))
    return tmp_path


def open_esc(folder: Path, **changes: object) -> Dataset:
    return open_dataset("esc", card_of("esc50", **({"class_count": None, "clip_count": None} | changes)), folder)


def test_classes_are_compacted_in_the_data_sets_own_order(esc: Path) -> None:
    dataset = open_esc(esc)
    assert dataset.class_names == ("dog", "cat", "bee")
    assert Counter(dataset.targets.tolist()) == {0: 5, 1: 5, 2: 5}
    assert open_esc(esc, classes=("bee", "cat")).class_names == ("cat", "bee")


def test_a_source_that_stands_in_two_folds_is_noted(esc: Path) -> None:
    (note,) = open_esc(esc).notes()
    assert "1 of 14 groups" in note
    assert "(shared)" in note


def test_the_fingerprint_is_the_content(esc: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = open_esc(esc).fingerprint
    assert open_esc(esc).fingerprint == before
    moved = tmp_path_factory.mktemp("elsewhere") / "copy"
    esc.rename(moved)
    assert open_esc(moved).fingerprint == before
    write_wav(moved / "audio" / "1-3-A.wav", seed=999)
    assert open_esc(moved).fingerprint != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_count": 50}, "3 classes found or chosen, the card says class_count = 50"),
        ({"classes": ("dog", "catt")}, r"no clips of class 'catt' .*did you mean 'cat'"),
        ({"classes": ("dog",)}, "1 class found or chosen: at least 2 are needed"),
    ],
)
def test_data_that_is_not_what_the_card_says_is_refused(esc: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_esc(esc, **change)


def test_a_missing_file_is_named(esc: Path) -> None:
    (esc / "audio" / "2-40-A.wav").unlink()
    with pytest.raises(UserError, match="2-40-A.wav cannot be read: No such file"):
        open_esc(esc)


def rewrite(folder: Path, old: str, new: str) -> None:
    table = folder / "meta" / "esc50.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1-7-A.wav,1,7", "1-7-A.wav,9,7", "clip 1-7-A.wav is in fold 9: the data set has folds 1 to 5"),
        ("2-7-A.wav,2", "1-7-A.wav,2", "1 clips are listed more than once, 1-7-A.wav first"),
        ("1-7-A.wav,1,7,cat", "1-7-A.wav,1,8,cat", "every class needs one number of its own"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(esc: Path, old: str, new: str, message: str) -> None:
    rewrite(esc, old, new)
    with pytest.raises(UserError, match=message):
        open_esc(esc)


def test_labels_folds_and_groups_are_part_of_the_fingerprint(esc: Path) -> None:
    found = {open_esc(esc).fingerprint}
    for old, new in (
        ("True,73,A", "True,99,A"),
        ("5-3-A.wav,5", "5-3-A.wav,4"),
        ("5-40-A.wav,5,40,bee", "5-40-A.wav,5,3,dog"),
    ):
        rewrite(esc, old, new)
        found.add(open_esc(esc).fingerprint)
    assert len(found) == 4


def test_a_table_of_a_spreadsheet_is_read_and_one_that_is_no_text_refused(esc: Path) -> None:
    table = esc / "meta" / "esc50.csv"
    before = open_esc(esc).fingerprint
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert open_esc(esc).fingerprint == before
    table.write_bytes(b"\xff\xfe" + table.read_bytes())
    with pytest.raises(UserError, match="esc50.csv is not UTF-8 text"):
        open_esc(esc)


def test_a_table_without_its_columns_is_refused(esc: Path) -> None:
    (esc / "meta" / "esc50.csv").write_text("filename,fold\na.wav,1\n")
    with pytest.raises(UserError, match=r"esc50.csv: needs rows with the columns filename, fold, target"):
        open_esc(esc)


@pytest.mark.parametrize("bad", ["a.wav,one,3,dog,True,1,A", "a.wav,1,x,dog,True,1,A"])
def test_a_table_with_bad_numbers_is_refused(esc: Path, bad: str) -> None:
    (esc / "meta" / "esc50.csv").write_text(ESC_HEADER + bad + "\n")
    with pytest.raises(UserError, match="must be whole numbers"):
        open_esc(esc)


def test_absent_data_is_one_line_with_folder_and_source(tmp_path: Path) -> None:
    for name, wanted, how in (
        ("esc50", "meta/esc50.csv", "petl-bench data get esc50 fetches http"),
        ("gsc", "validation_list.txt", "petl-bench data get gsc fetches http"),
        ("us8k", "metadata/UrbanSound8K.csv", "petl-bench data get us8k fetches http"),
        ("fsc", "data/train_data.csv", "get it from http"),
    ):
        with pytest.raises(UserError, match=f"no {wanted} in {tmp_path}; .*--data-dir.*PETL_BENCH_DATA.*{how}"):
            open_dataset(name, card_of(name), tmp_path)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Three words, three speakers, each speaker in one list, and what the archive holds besides words."""
    for word in ("yes", "no", "up"):
        for speaker in ("aa", "bb", "cc"):
            for take in range(2):
                write_wav(tmp_path / word / f"{speaker}_nohash_{take}.wav")
        write_wav(tmp_path / word / "not_a_take.wav")
    write_wav(tmp_path / "_background_noise_" / "pink_nohash_0.wav")
    for name, speaker in (("validation_list.txt", "bb"), ("testing_list.txt", "cc")):
        lines = [f"{word}/{speaker}_nohash_{take}.wav\n" for word in ("yes", "no", "up") for take in range(2)]
        (tmp_path / name).write_text("".join(lines))
    return tmp_path


def test_speech_commands_follow_the_official_lists(words: Path) -> None:
    dataset = open_dataset("gsc", card_of("gsc", class_count=None), words)
    assert dataset.class_names == ("no", "up", "yes")
    parts = {(clip.group, clip.part) for clip in dataset.clips}
    assert parts == {("aa", "train"), ("bb", "validation"), ("cc", "test")}
    assert len(dataset.clips) == 18
    subset = open_dataset("gsc", card_of("gsc", class_count=None, classes=("yes", "no")), words)
    assert len(subset.clips) == 12


def test_a_listed_clip_that_is_not_there_is_an_incomplete_copy(words: Path) -> None:
    (words / "yes" / "cc_nohash_1.wav").unlink()
    with pytest.raises(UserError, match=r"is incomplete: 1 clips of .* are not there, yes/cc_nohash_1.wav first"):
        open_dataset("gsc", card_of("gsc", class_count=None), words)


def test_a_clip_in_both_lists_is_refused(words: Path) -> None:
    with (words / "validation_list.txt").open("a") as file:
        file.write("no/cc_nohash_0.wav\n")
    with pytest.raises(
        UserError, match=r"1 clips stand in both validation_list.txt and testing_list.txt, no/cc_nohash_0"
    ):
        open_dataset("gsc", card_of("gsc", class_count=None), words)


def test_a_limit_that_leaves_nothing_out_is_none(words: Path) -> None:
    card = card_of("gsc", class_count=None)
    whole = open_dataset("gsc", card, words)
    assert open_dataset("gsc", card, words, limit=2).fingerprint == whole.fingerprint
    assert open_dataset("gsc", card, words, limit=2).limit is None
    assert open_dataset("gsc", card, words, limit=1).limit == 1


def test_a_limit_keeps_so_many_clips_of_each_class_in_each_list(words: Path) -> None:
    dataset = open_dataset("gsc", card_of("gsc", class_count=None), words, limit=1)
    assert Counter((clip.label, clip.part) for clip in dataset.clips) == {
        (word, part): 1 for word in ("yes", "no", "up") for part in ("train", "validation", "test")
    }


PINNED = [0.000921057362575084, 0.014925199560821056]
"""Mean square, and mean absolute step, of the first synthetic clip."""


def test_synthetic_clips_are_the_same_on_every_machine() -> None:
    layout = Synthetic(Path())
    clips = layout.scan()
    assert len(clips) == len({clip.id for clip in clips}) == 400
    assert Counter((clip.label, clip.fold) for clip in clips).keys() == {(c.label, c.fold) for c in clips}
    first, rate = layout.read(clips[0])
    again, _ = Synthetic(Path("elsewhere")).read(clips[0])
    assert rate == 16_000
    assert first.shape == (1, 16_000)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, layout.read(clips[1])[0])
    assert np.isfinite(first).all()
    assert 0.01 < np.abs(first).max() < 1
    moments = [float(np.mean(first**2)), float(np.mean(np.abs(np.diff(first))))]
    assert moments == pytest.approx(PINNED, rel=1e-5), "other sounds: raise the layout's VERSION"


def test_the_real_esc10(shared_data: Path) -> None:
    dataset = open_dataset("esc10", card_of("esc10"), shared_data / "ESC-10")
    assert len(dataset.clips) == 400
    assert Counter((clip.label, clip.fold) for clip in dataset.clips) == {
        (name, fold): 8 for name in dataset.class_names for fold in range(1, 6)
    }
    folds: dict[tuple[str, str], set[int | None]] = defaultdict(set)
    for clip in dataset.clips:
        folds[clip.group, clip.label].add(clip.fold)
    assert all(len(found) == 1 for found in folds.values())


def test_the_real_speech_commands(shared_data: Path) -> None:
    dataset = open_dataset("gsc", card_of("gsc"), shared_data / "speech_commands_v0.02_sample")
    assert len(dataset.class_names) == 35
    assert Counter(clip.part for clip in dataset.clips) == {"train": 1_464, "validation": 305, "test": 639}
    (note,) = dataset.notes()
    assert "2,408 clips, the card says 105,829: results are not those of the whole data set" in note


def test_urbansound8k_as_it_is_distributed(tmp_path: Path) -> None:
    """Ten folds in folders, classes in the order of their numbers, Freesound's number as the group."""
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold in range(1, 11):
        for number, name in ((3, "dog_bark"), (1, "car_horn")):
            clip = f"{fold}{number}-{number}-0-0.wav"
            write_wav(tmp_path / "audio" / f"fold{fold}" / clip, seed=fold)
            rows.append(f"{clip},{fold}{number},0.0,4.0,1,{fold},{number},{name}")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows) + "\n")
    dataset = open_dataset("us8k", card_of("us8k", class_count=2, clip_count=20), tmp_path)
    assert dataset.class_names == ("car_horn", "dog_bark")
    assert Counter(clip.fold for clip in dataset.clips) == dict.fromkeys(range(1, 11), 2)
    assert {clip.group for clip in dataset.clips} == {f"{fold}{number}" for fold in range(1, 11) for number in (1, 3)}
    assert dataset.layout.read(dataset.clips[0])[1] == 16_000
    assert dataset.notes() == []


def test_fluent_speech_commands_as_it_is_distributed(tmp_path: Path) -> None:
    """Three lists, an intent of three parts as the class, the speaker as the group."""
    (tmp_path / "data").mkdir()
    for number, name in enumerate(("train", "valid", "test")):
        rows = [",path,speakerId,transcription,action,object,location"]
        for at, intent in enumerate(("increase,volume,none", "activate,lights,kitchen")):
            path = f"wavs/speakers/s{number}/{at}.wav"
            write_wav(tmp_path / path, seed=number)
            rows.append(f'{at},{path},s{number},"Louder, please",{intent}')
        (tmp_path / "data" / f"{name}_data.csv").write_text("\n".join(rows) + "\n")
    dataset = open_dataset("fsc", card_of("fsc", class_count=2, clip_count=6), tmp_path)
    assert dataset.class_names == ("activate/lights/kitchen", "increase/volume/none")
    assert [clip.part for clip in dataset.clips] == ["train", "train", "validation", "validation", "test", "test"]
    assert [clip.group for clip in dataset.clips] == ["s0", "s0", "s1", "s1", "s2", "s2"]
    assert len(dataset.layout.read(dataset.clips[5])[0][0]) == 1_600
