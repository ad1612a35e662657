"""``data get`` from the card to the folder: archives in the layouts of real data sets, from a server on loopback."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_bench.benchmarks import acquisition
from petl_bench.benchmarks import download as download_room
from petl_bench.benchmarks.dataset import open_dataset
from petl_bench.card_files import find_card, read_card
from petl_bench.cards import BenchmarkCard
from petl_bench.claims import Claim, Claims
from petl_bench.locations import data_folder
from tests.archive_server import ArchiveServer, archive_server
from tests.benchmarks.test_archives import tarred, zipped
from tests.fuzz.mutations import files_below
from tests.studies import Command


def wav(seed: int, samples: int = 1_600) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, 0.1 * np.random.default_rng(seed).standard_normal(samples), 16_000, format="WAV")
    return out.getvalue()


def esc50(top: str = "ESC-50-master/") -> dict[str, bytes]:
    """Two classes, a clip in each of five folds, in a folder of its own as GitHub packs it."""
    rows, files = ["filename,fold,target,category,esc10,src_file,take"], {f"{top}README.md": b"ESC-50"}
    for target, category in enumerate(("dog", "rain")):
        for fold in range(1, 6):
            name = f"{fold}-{target}-A.wav"
            rows.append(f"{name},{fold},{target},{category},True,{target}{fold},A")
            files[f"{top}audio/{name}"] = wav(10 * target + fold)
    return files | {f"{top}meta/esc50.csv": "\n".join(rows).encode()}


def speech_commands(top: str = "./") -> dict[str, bytes]:
    """Two words of three speakers, one in each list."""
    files = {f"{top}{word}/{s}_nohash_0.wav": wav(at) for word in ("yes", "no") for at, s in enumerate("abc")}
    for name, speaker in (("validation_list.txt", "b"), ("testing_list.txt", "c")):
        files[f"{top}{name}"] = f"yes/{speaker}_nohash_0.wav\nno/{speaker}_nohash_0.wav\n".encode()
    return files


CARDS = {
    "esc": 'layout = "esc50"\ntitle = "x"\nclip_count = 10\n[protocol]\nfolds = 5\nvalidation = "previous_fold"\n',
    "words": 'layout = "speech_commands"\ntitle = "x"\nclip_count = 6\n',
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchiveServer]:
    monkeypatch.setattr(download_room, "BACKOFF", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with archive_server() as server:
        server.content = zipped(esc50())
        yield server


def write_card(server: ArchiveServer, name: str = "esc", extra: str = "", head: str = "") -> None:
    Path("benchmarks").mkdir(exist_ok=True)
    download = f'[download]\nurl = "https://example.org"\nlicence = "CC0"\narchive = "{server.url}"\n{extra}'
    Path(f"benchmarks/{name}.toml").write_text(head + CARDS[name] + download)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("esc", zipped(esc50())),
        ("esc", zipped(esc50(top=""))),
        ("words", tarred(speech_commands())),
        ("words", tarred(speech_commands("top/"))),
    ],
    ids=["zip in a folder", "zip", "tar.gz", "tar.gz in a folder"],
)
def test_get_puts_a_whole_copy_where_run_looks_for_it(
    server: ArchiveServer, command: Command, name: str, content: bytes
) -> None:
    write_card(server, name)
    server.content = content
    code, out, err = command("data", "get", name)
    assert (code, err) == (0, "")
    clips = {"esc": 10, "words": 6}[name]
    assert f"{name}: {clips} clips in {Path('data', name).resolve()}\n" in out
    assert f"{name}: licence CC0; https://example.org" in out
    assert [path.name for path in Path("data").iterdir()] == [name], "no archive, no part, nothing temporary"
    card = read_card(find_card("benchmarks", name), BenchmarkCard)
    assert len(open_dataset(name, card, data_folder(name, None)).clips) == clips
    server.content = b""
    code, out, _ = command("data", "get", name)
    assert code == 0
    assert f"{name}: is there already, {clips} clips in" in out


def test_get_goes_on_after_an_interrupt(
    server: ArchiveServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_card(server)

    def interrupted(url: str, part: Path, progress: object) -> None:
        download_room.download(url, part, stop)

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(acquisition, "download", interrupted)
        code, out, err = command("data", "get", "esc")
    assert (code, err) == (130, "petl-bench: stopped\n")
    assert "what has come is kept: the same command goes on from there" in out
    assert sorted(path.name for path in Path("data").iterdir()) == ["esc.part", "esc.part.json"]
    assert command("data", "get", "esc")[0] == 0
    assert [path.name for path in Path("data").iterdir()] == ["esc"]


def test_an_interrupt_while_unpacking_leaves_the_archive_and_nothing_else(
    server: ArchiveServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_card(server)

    def interrupted(archive: Path, folder: Path, progress: object) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(acquisition, "unpack", interrupted)
        assert command("data", "get", "esc")[0] == 130
    assert sorted(path.name for path in Path("data").iterdir()) == ["esc.part", "esc.part.json"]
    asked = len(server.asked)
    assert command("data", "get", "esc")[0] == 0
    assert len(server.asked) == asked, "what is whole is not fetched again"


def test_the_archive_may_be_kept_and_used_again(server: ArchiveServer, command: Command) -> None:
    write_card(server)
    code, out, _ = command("data", "get", "esc", "--keep-archive")
    assert code == 0
    archive = Path("data/esc-data.zip").resolve()
    assert f"the archive is {archive}" in out
    shutil.rmtree("data/esc")
    code, _, err = command("data", "get", "esc", "--keep-archive")
    assert code == 2
    assert f"{archive} is there already; --from {archive} uses it" in err
    asked = len(server.asked)
    assert command("data", "get", "esc", "--from", str(archive))[0] == 0
    assert archive.is_file(), "an archive that was given is the user's"
    assert len(server.asked) == asked


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_checksum_is_compared_before_anything_is_unpacked(server: ArchiveServer, command: Command, kind: str) -> None:
    right = hashlib.new(kind, server.content).hexdigest()
    write_card(server, extra=f'{kind} = "{right}"\n')
    server.content += b"x"
    code, _, err = command("data", "get", "esc")
    assert code == 2
    assert f"is not what was published: its {kind} is" in err
    assert err.count("\n") == 1
    assert list(Path("data").iterdir()) == [], "a wrong archive is not gone on with"
    server.content = server.content[:-1]
    assert command("data", "get", "esc")[0] == 0


def broken(**files: bytes | None) -> dict[str, bytes]:
    changed = {**esc50(), **{f"ESC-50-master/{name.replace('__', '/')}": data for name, data in files.items()}}
    return {name: data for name, data in changed.items() if data is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({**esc50(), "../evil.txt": b"x"}), "its member '../evil.txt' would land outside of its folder"),
        (zipped(esc50())[:-100], "is damaged"),
        (b"<html>please sign in</html>", "is neither a zip nor a tar archive"),
        (zipped(broken(**{"audio__3-1-A.wav": None})), "esc: 1 of 10 clips are not in it, 3-1-A.wav first"),
        (
            zipped(broken(**{"audio__3-1-A.wav": wav(1)[:-100]})),
            "does not hold the whole data set: it/audio/3-1-A.wav is cut short",
        ),
        (zipped(broken(**{"meta__esc50.csv": None})), "esc: no meta/esc50.csv in it"),
        (tarred(speech_commands()), "esc: no meta/esc50.csv in it"),
        (
            zipped(broken(**{"meta__esc50.csv": esc50()["ESC-50-master/meta/esc50.csv"].rpartition(b"\n")[0]})),
            "9 clips are in it, the card says 10",
        ),
    ],
    ids=[
        "outside",
        "cut short",
        "a page",
        "a clip missing",
        "a clip broken",
        "no table",
        "another data set",
        "too few",
    ],
)
def test_what_is_no_whole_copy_leaves_nothing(
    server: ArchiveServer, command: Command, content: bytes, message: str
) -> None:
    write_card(server)
    server.content = content
    before = set(files_below(Path()))
    code, _, err = command("data", "get", "esc")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert set(files_below(Path())) - before == {"data"}
    assert list(Path("data").iterdir()) == []


def test_a_folder_that_is_in_use_is_never_written_to(server: ArchiveServer, command: Command) -> None:
    write_card(server)
    Path("data/esc").mkdir(parents=True)
    assert command("data", "get", "esc")[0] == 0, "an empty folder is no obstacle"
    Path("data/esc/audio/3-1-A.wav").unlink()
    before = files_below(Path("data"))
    code, _, err = command("data", "get", "esc")
    assert code == 2
    assert "is in use and is no whole copy of the data set (esc: 1 of 10 clips are not in" in err
    assert "move it away, or give another folder with --data-dir" in err
    assert files_below(Path("data")) == before
    Path("file").touch()
    assert command("data", "get", "esc", "--data-dir", "file")[0] == 2
    assert command("data", "get", "esc", "--data-dir", "file/below")[0] == 2
    assert command("data", "get", "esc", "--data-dir", "elsewhere/mine")[0] == 0
    assert Path("elsewhere/mine/meta/esc50.csv").is_file()


def test_of_two_that_get_one_data_set_the_second_is_told_to_wait(server: ArchiveServer, command: Command) -> None:
    write_card(server)
    Path("data").mkdir(exist_ok=True)
    claim = Claims(Path("data").resolve()).take(".esc.get")
    assert isinstance(claim, Claim)
    with claim:
        code, _, err = command("data", "get", "esc")
        assert code == 2
        assert re.search(r"esc: process \d+ on .* gets it into .* now: wait for that, then go on", err)
    assert command("data", "get", "esc")[0] == 0
    assert sorted(path.name for path in Path("data").iterdir()) == ["esc"]


def test_two_cards_share_one_copy(server: ArchiveServer, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETL_BENCH_DATA", "everything")
    write_card(server)
    Path("benchmarks/dogs.toml").write_text('folder = "esc"\n' + Path("benchmarks/esc.toml").read_text())
    assert command("data", "get", "dogs")[0] == 0
    assert [path.name for path in Path("everything").iterdir()] == ["esc"]
    for name in ("esc", "dogs"):
        code, out, _ = command("data", "get", name)
        assert code == 0
        assert f"{name}: is there already, 10 clips in {Path('everything/esc').resolve()}" in out
    Path("everything/dogs").mkdir()
    assert data_folder("dogs", None, "esc") == Path("everything/dogs"), "a folder of the card's own name comes first"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["get", "fsc"],
            r"fsc: its makers hand it out themselves \(licence: Fluent.*\): get it from https://.* --from ARCHIVE",
        ),
        (["get", "synthetic"], "synthetic: its clips are generated, there is nothing to get"),
        (["get", "manifest"], "manifest: the card names no archive: put the data set into .*manifest, or give"),
        (["get", "esc51"], "unknown benchmark 'esc51'"),
        (["get", "esc50", "--from", "nowhere.zip"], "--from nowhere.zip: no such file"),
        (["get", "esc50", "--json"], "data get prints no JSON"),
        (["verify", "esc50", "--keep-archive"], "data verify takes neither --from nor --keep-archive"),
        (["fetch", "esc50"], "'fetch' is not one of"),
    ],
)
def test_a_mistake_is_one_line(command: Command, arguments: list[str], message: str) -> None:
    code, out, err = command("data", *arguments)
    assert (code, out) == (2, "")
    assert re.search(message, err)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    ['archive = "file:///etc/passwd"', 'archive = "data.zip"', 'sha256 = "abc"', 'md5 = "xyz"'],
)
def test_a_card_names_web_addresses_and_whole_checksums(command: Command, line: str) -> None:
    Path("benchmarks").mkdir()
    Path("benchmarks/esc.toml").write_text(f'{CARDS["esc"]}[download]\nurl = "x"\n{line}\n')
    code, _, err = command("data", "get", "esc")
    assert code == 2
    assert f"download.{line.split()[0]}" in err
    Path("benchmarks/esc.toml").write_text('folder = "../x"\n' + CARDS["esc"])
    assert "folder = '../x'" in command("data", "get", "esc")[2]
