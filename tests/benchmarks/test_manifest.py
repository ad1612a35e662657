"""``clips.csv`` as spreadsheets, scripts and strangers write it: the right clips, or one line that says what is wrong."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petl_bench.benchmarks.dataset import Clip, open_dataset
from petl_bench.benchmarks.layouts.manifest import Manifest
from petl_bench.card_files import find_card, read_card
from petl_bench.cards import BenchmarkCard
from petl_bench.errors import UserError
from tests.benchmarks.folders import manifest, open_manifest, write_wav
from tests.fuzz.mutations import survive

SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1, max_size=12
)
PATHS = st.lists(
    NAMES.filter(lambda name: not set(name) & set("/\\:") and name not in (".", "..")), min_size=1, max_size=3
).map("/".join)
ROWS = st.lists(st.tuples(PATHS, NAMES, NAMES), min_size=1, max_size=8, unique_by=lambda row: row[0])


def scan(folder: Path, content: str | bytes) -> list[Clip]:
    (folder / "clips.csv").write_bytes(content.encode("utf-8", "strict") if isinstance(content, str) else content)
    return Manifest(folder).scan()


@SAME_FOLDER
@given(
    rows=ROWS,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    always=st.booleans(),
    order=st.permutations(range(4)),
)
def test_what_a_csv_writer_writes_is_read_as_it_was_meant(
    tmp_path: Path, rows: list[tuple[str, str, str]], end: str, mark: bool, always: bool, order: list[int]
) -> None:
    """Whatever the names, the ends of lines, the quotes, the order of the columns, and further ones."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL if always else csv.QUOTE_MINIMAL)
    for cells in [("path", "label", "group", "remark"), *((*row, 'x, "y"\nz') for row in rows)]:
        writer.writerow([cells[at] for at in order])
    clips = scan(tmp_path, ("\ufeff" if mark else "") + out.getvalue())
    assert [(clip.id, clip.label, clip.group) for clip in clips] == rows


@SAME_FOLDER
@given(
    content=st.one_of(
        st.text(max_size=200),
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [
                    "path",
                    "label",
                    "group",
                    "fold",
                    "split",
                    ",",
                    "\n",
                    '"',
                    "a.wav",
                    "../b",
                    "/c",
                    "1",
                    "train",
                    "\0",
                    "\r",
                    "\ufeff",
                    " ",
                ]
            )
        ).map("".join),
    )
)
def test_any_content_is_a_table_or_one_line(tmp_path: Path, content: str | bytes) -> None:
    def parse(data: bytes) -> None:
        for clip in scan(tmp_path, data):
            assert not Path(clip.id).is_absolute()
            assert ".." not in Path(clip.id).parts
            assert clip.label

    survive(parse, [content.encode() if isinstance(content, str) else content], seconds_each=5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs rows with the columns path, label"),
        (b"path,label\n", "needs rows with the columns path, label"),
        (b"path,label\na.wav\n", "row 1 ends before its label"),
        (b"path,label\na.wav,a\nb.wav\n", "row 2 ends before its label"),
        (b"path,label,label\na.wav,a,b\n", "two columns are called 'label'"),
        (b"path,label, label\na.wav,a,b\n", "two columns are called 'label'"),
        (
            b"path,label\na.wav,rain, heavy\n",
            "row 1 has more cells than the header: put a cell with commas into quotes",
        ),
        (b"path,label\na.wav," + b"x" * 600, r"label 'x+\.\.\.' is longer than 500 characters"),
        (b"path,label\n" + b"x" * 10_000_000 + b",a\n", "is not a CSV table: field larger than field limit"),
        (b'path,label\n"a\nb.wav",a\n', r"path 'a\\nb.wav' holds line breaks or control characters"),
        (b'path,label\na.wav,"x\ty"\n', r"label 'x\\ty' holds line breaks or control characters"),
        (b"path,label\na\0.wav,a\n", r"path 'a\\x00.wav' holds line breaks or control|line contains NUL"),
        (b"path,label\n\xed\xa0\x80.wav,a\n", "is not UTF-8 text"),
        (b"path,label\n\xff\xfea.wav,a\n", "is not UTF-8 text"),
        (b"path,label\n.,a\n", "path '.' does not stand below the folder"),
        (b"path,label\na.wav,a\n./a.wav,b\n", "'a.wav' and './a.wav' are one file"),
        (b"path,label\nb//a.wav,a\nb/a.wav,b\n", "'b//a.wav' and 'b/a.wav' are one file"),
        (b"path,label,fold\na.wav,a," + b"9" * 5_000, r"folds must be whole numbers, not '9+\.\.\.'"),
        (b"path,label,fold\na.wav,a,1.0\n", "folds must be whole numbers, not '1.0'"),
        (b"path,label,fold\na.wav,a,\xd9\xa1\n", "folds must be whole numbers"),
    ],
    ids=range(20),
)
def test_odd_tables_are_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        scan(tmp_path, content)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 1_000


def test_spaces_around_names_do_not_count(tmp_path: Path) -> None:
    (clip,) = scan(tmp_path, " path ,label , group\n a.wav , sea waves ,g 1 \n")
    assert (clip.id, clip.label, clip.group) == ("a.wav", "sea waves", "g 1")


def test_a_line_separator_within_quotes_ends_no_row(tmp_path: Path) -> None:
    clips = scan(tmp_path, 'path,label,remark\na.wav,a,"one\x0btwo\x1cthree\u2028four"\nb.wav,b,\n')
    assert [clip.id for clip in clips] == ["a.wav", "b.wav"]


def rows() -> list[str]:
    return [f"{label}{at}.wav,{label}" for label in "ab" for at in range(5)]


def test_links_in_the_folder_are_followed(tmp_path: Path) -> None:
    """As on a cluster, where recordings lie on another disk."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    write_wav(outside / "far.wav")
    folder = manifest(inside, [*rows(), "below/far.wav,a"])
    (folder / "below" / "far.wav").unlink()
    (folder / "below").rmdir()
    (folder / "below").symlink_to(outside, target_is_directory=True)
    (folder / "a0.wav").unlink()
    (folder / "a0.wav").symlink_to(outside / "far.wav")
    dataset = open_manifest(folder)
    assert len(dataset.clips) == 11
    assert dataset.layout.read(dataset.clips[0])[1] == 16_000


def test_a_folder_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    manifest(tmp_path / "real", rows())
    (tmp_path / "link").symlink_to("real")
    assert len(open_manifest(tmp_path / "link").clips) == 10


@pytest.mark.parametrize("kind", ["folder", "pipe", "nowhere", "itself"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    folder = manifest(tmp_path, rows())
    odd = folder / "a3.wav"
    odd.unlink()
    if kind == "folder":
        odd.mkdir()
    elif kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("gone.wav" if kind == "nowhere" else "a3.wav")
    with pytest.raises(UserError, match=r"a3.wav('|\")? (is not a file|is no file|cannot be read)") as error:
        open_manifest(folder)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["../../secret.wav", "/etc/hostname", "a/../../../secret.wav", "..", "a\0b"])
def test_no_other_table_leads_out_either(tmp_path: Path, name: str) -> None:
    """ESC-50's table, too, may come from anywhere."""
    (tmp_path / "set" / "meta").mkdir(parents=True)
    (tmp_path / "set" / "audio").mkdir()
    write_wav(tmp_path / "secret.wav")
    lines = [f"{name if at == 1 else f'{at}.wav'},{at},{at % 2},{'ab'[at % 2]},{at}" for at in range(1, 6)]
    (tmp_path / "set" / "meta" / "esc50.csv").write_text("\n".join(["filename,fold,target,category,src_file", *lines]))
    for at in range(2, 6):
        write_wav(tmp_path / "set" / "audio" / f"{at}.wav", at)
    card = read_card(find_card("benchmarks", "esc50"), BenchmarkCard)
    card = card.model_copy(update={"class_count": None})
    with pytest.raises(UserError, match="leads out of|control characters|is not a file"):
        open_dataset("esc", card, tmp_path / "set")
