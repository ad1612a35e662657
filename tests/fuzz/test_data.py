"""Data sets as strangers and broken disks hand them in: no traceback, no hang, no file outside its folder."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_bench.benchmarks.archives import unpack
from petl_bench.benchmarks.audio import LOUDEST, read_audio, to_mono
from petl_bench.benchmarks.dataset import open_dataset
from petl_bench.card_files import find_card, read_card
from petl_bench.cards import BenchmarkCard
from tests.benchmarks.folders import write_wav
from tests.benchmarks.test_archives import PACKERS
from tests.benchmarks.test_audio import FORMATS
from tests.fuzz.mutations import LONG, Survival, files_below, mutants, survive

COUNTS = [
    pytest.param(100, id="quick"),
    pytest.param(LONG, id="long", marks=pytest.mark.exhaustive),
]
"""Inputs per parser."""

Parse = Callable[[bytes], object]


def fuzz(parse: Parse, seeds: list[bytes], count: int, seed: int) -> Survival:
    """Run, and make sure that the inputs were neither all good nor all rubbish."""
    found = survive(parse, mutants(seeds, count, seed), seconds_each=10)
    assert found.accepted >= len(seeds)
    assert found.refused > count // 10
    return found


def untouched(outside: Path, target: str, parse: Parse) -> Parse:
    """``parse``, after which nothing has changed in a folder but ``target``, which is then cleared away."""
    before = files_below(outside)

    def checked(data: bytes) -> None:
        try:
            parse(data)
        finally:
            shutil.rmtree(outside / target, ignore_errors=True)
            assert files_below(outside) == before

    return checked


TABLES = {
    "clips.csv": [
        b"path,label\n" + b"".join(b"%s%d.wav,%s\n" % (x, at, x) for x in (b"a", b"b") for at in range(1, 6)),
        b"\xef\xbb\xbfpath,label,group\r\n" + b"".join(b'"%s%d.wav","%s",g%d\r\n' % (x, at, x, at) for x in (b"a", b"b") for at in range(1, 6)),
        b"label,fold,path\n" + b"".join(b"%s,%d,%s%d.wav\n" % (x, at, x, at) for x in (b"a", b"b") for at in range(1, 6)),
    ],
    "meta/esc50.csv": [
        b"filename,fold,target,category,esc10,src_file,take\n"
        + b"".join(b"../%s%d.wav,%d,%d,%s,True,%d,A\n" % (x, at, at, n, x, at) for n, x in enumerate((b"a", b"b")) for at in range(1, 6)),
    ],
    "validation_list.txt": [b"yes/a_nohash_0.wav\nno/a_nohash_0.wav\n", b"yes/a_nohash_1.wav\r\nno/a_nohash_1.wav\r\n"],
}  # fmt: skip
CARDS = {"clips.csv": "manifest", "meta/esc50.csv": "esc50", "validation_list.txt": "gsc"}


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """A folder beside a secret, with the files that the tables above name."""
    write_wav(tmp_path / "secret.wav")
    folder = tmp_path / "set"
    for name in [f"{label}{at}.wav" for label in "ab" for at in range(1, 6)]:
        write_wav(folder / name, 1)
    for name in [f"{word}/{speaker}_nohash_{at}.wav" for word in ("yes", "no") for speaker in "abc" for at in range(2)]:
        write_wav(folder / name, 1)
    (folder / "audio").mkdir()
    (folder / "meta").mkdir()
    (folder / "testing_list.txt").write_text("yes/b_nohash_0.wav\nno/b_nohash_0.wav\n")
    return folder


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("table", TABLES)
def test_tables(data_set: Path, table: str, count: int) -> None:
    card = read_card(find_card("benchmarks", CARDS[table]), BenchmarkCard)
    card = card.model_copy(update={"class_count": None, "clip_count": None})

    def parse(data: bytes) -> None:
        (data_set / table).write_bytes(data)
        dataset = open_dataset("mine", card, data_set)
        for clip in dataset.clips:
            assert dataset.layout.file(clip).resolve().is_relative_to(data_set)  # type: ignore[attr-defined]

    fuzz(parse, TABLES[table], count, seed=1)


def recordings(kind: str) -> list[bytes]:
    container, subtype = FORMATS[kind]
    found = []
    for channels, samples in ((1, 800), (2, 2_000)):
        file = io.BytesIO()
        noise = 0.1 * np.random.default_rng(samples).standard_normal((samples, channels))
        soundfile.write(file, noise, 16_000, format=container, subtype=subtype)
        found.append(file.getvalue())
    return found


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", FORMATS)
def test_audio(tmp_path: Path, kind: str, count: int) -> None:
    path = tmp_path / "clip"

    def parse(data: bytes) -> None:
        path.write_bytes(data)
        samples, rate = read_audio(path, seconds=0.1)
        mono = to_mono(samples, rate)
        assert len(mono) > 0
        assert mono.abs().max() <= 2 * LOUDEST

    fuzz(parse, recordings(kind), count, seed=2)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", PACKERS)
def test_archives(tmp_path: Path, kind: str, count: int) -> None:
    files = {"set/table.csv": b"path,label\na.wav,a\n", "set/audio/a.wav": bytes(range(256)) * 3, "set/b": b"b" * 700}
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "mine.txt").write_text("mine")
    archive = tmp_path / "archive"

    def parse(data: bytes) -> None:
        archive.write_bytes(data)
        unpack(archive, tmp_path / "box" / "folder", lambda done, total: None)

    fuzz(untouched(tmp_path / "box", "folder", parse), [PACKERS[kind](files)], count, seed=3)
