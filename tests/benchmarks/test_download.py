"""Downloads against a real server: whatever happens on the way, the file is whole in the end or its part is kept."""

from __future__ import annotations

import errno
import json
import socket
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petl_bench.benchmarks import download as room
from petl_bench.benchmarks.download import ATTEMPTS, discard, download
from petl_bench.errors import UserError
from tests.archive_server import ArchiveServer, archive_server

CONTENT = np.random.default_rng(0).bytes(300_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchiveServer]:
    monkeypatch.setattr(room, "BACKOFF", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with archive_server() as server:
        server.content = CONTENT
        yield server


def fetch(server: ArchiveServer, part: Path) -> list[tuple[int, int | None]]:
    told: list[tuple[int, int | None]] = []
    download(server.url, part, lambda done, total: told.append((done, total)))
    return told


def begun(server: ArchiveServer, part: Path, size: int = 100_000) -> None:
    """A download that broke off after so many bytes, for good."""
    server.cuts, server.statuses = [size], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "ATTEMPTS", 1)
        with pytest.raises(UserError, match=f"{size:,} bytes are kept; the same command goes on from there"):
            fetch(server, part)
    assert part.stat().st_size == size
    server.asked.clear()


def test_a_file_is_fetched_and_progress_told(server: ArchiveServer, tmp_path: Path) -> None:
    told = fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert told[-1] == (300_000, 300_000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    fetch(server, tmp_path / "a.part")
    assert server.asked == [""], "a whole file is not asked for again"


def test_a_connection_that_breaks_off_is_gone_on_with(server: ArchiveServer, tmp_path: Path) -> None:
    server.cuts = [100_000, 50_000, 0]
    fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-", "bytes=150000-", "bytes=150000-"]


@pytest.mark.parametrize("etag", ['"v1"', "", 'W/"v1"'])
def test_a_later_call_goes_on_where_one_stopped(server: ArchiveServer, tmp_path: Path, etag: str) -> None:
    """A date will do where there is no ETag, or a weak one, which If-Range may not have."""
    server.etag = etag
    begun(server, tmp_path / "a.part")
    told = fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.asked == ["bytes=100000-"]
    assert told[0][0] > 100_000


@pytest.mark.parametrize(
    "change",
    [
        {"etag": '"v2"', "modified": "Tue, 02 Jan 2024 00:00:00 GMT"},
        {"ranges": False},
        {"content": CONTENT[::-1], "etag": '"v2"', "modified": ""},
        {"content": CONTENT[:50_000]},
        {"wrong_range": True},
    ],
    ids=["another tag", "no ranges", "another file", "a shorter file", "another range"],
)
def test_what_cannot_be_gone_on_with_is_begun_anew(
    server: ArchiveServer, tmp_path: Path, change: dict[str, Any]
) -> None:
    begun(server, tmp_path / "a.part")
    for name, value in change.items():
        setattr(server, name, value)
    fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == server.content


@pytest.mark.parametrize(
    "notes", [b"", b"{", b"[]", b'{"url": 3}', b'{"url": "http://127.0.0.1/other", "validator": "x"}', None]
)
def test_a_part_of_unknown_origin_is_begun_anew(server: ArchiveServer, tmp_path: Path, notes: bytes | None) -> None:
    (tmp_path / "a.part").write_bytes(b"something else")
    if notes is not None:
        (tmp_path / "a.part.json").write_bytes(notes)
    fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.asked == [""]


def test_without_tag_or_date_nothing_is_gone_on_with(server: ArchiveServer, tmp_path: Path) -> None:
    server.etag = server.modified = ""
    begun(server, tmp_path / "a.part")
    fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.asked == [""]


def test_a_length_that_is_not_said_is_not_needed(server: ArchiveServer, tmp_path: Path) -> None:
    server.says_length = False
    assert fetch(server, tmp_path / "a.part")[-1] == (300_000, None)
    assert (tmp_path / "a.part").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    server: ArchiveServer, tmp_path: Path
) -> None:
    server.statuses = [503, 500, 429]
    fetch(server, tmp_path / "a.part")
    assert len(server.asked) == 4
    discard(tmp_path / "a.part")
    assert list(tmp_path.iterdir()) == []
    server.asked.clear()
    server.statuses = [404]
    with pytest.raises(UserError, match="data.zip: the server answers 404 Not Found"):
        fetch(server, tmp_path / "a.part")
    assert server.asked == [""]


def test_after_a_few_attempts_the_part_is_kept_and_the_user_told(server: ArchiveServer, tmp_path: Path) -> None:
    server.cuts = [100] * ATTEMPTS
    with pytest.raises(
        UserError, match=r"ended after 500 of 300,000 bytes; 500 bytes are kept; the same command goes on"
    ):
        fetch(server, tmp_path / "a.part")
    fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT


def test_attempts_that_bring_enough_are_not_counted(
    server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "ENOUGH", 10_000)
    server.cuts = [20_000] * 14
    fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT


def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BACKOFF", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a.zip"
        with pytest.raises(
            UserError, match=r"a.zip: cannot be reached \(.*refused\); the same command goes on"
        ) as error:
            download(url, tmp_path / "a.part", lambda done, total: None)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="is no address"):
        download("http://[bad", tmp_path / "a.part", lambda done, total: None)


def test_an_interrupt_keeps_the_part(server: ArchiveServer, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.url, tmp_path / "a.part", interrupt)
    have = (tmp_path / "a.part").stat().st_size
    assert 0 < have < 300_000
    fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.asked == ["", f"bytes={have}-"]


def test_a_disk_that_is_too_small_is_said_before_and_a_full_one_when_it_is(
    server: ArchiveServer, tmp_path: Path
) -> None:
    begun(server, tmp_path / "a.part")
    usage = namedtuple("usage", "total used free")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room.shutil, "disk_usage", lambda path: usage(0, 0, 199_999))
        with pytest.raises(UserError, match="200,000 bytes are to come, 199,999 are free in"):
            fetch(server, tmp_path / "a.part")

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "write_atomically", full)
        with pytest.raises(UserError, match=r"a.part cannot be written to \(No space left on device\).* is kept"):
            fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").stat().st_size == 100_000
    fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT


def test_what_is_known_of_a_part_stands_beside_it(server: ArchiveServer, tmp_path: Path) -> None:
    begun(server, tmp_path / "a.part")
    known = json.loads((tmp_path / "a.part.json").read_text())
    assert known == {"url": server.url, "validator": '"v1"', "size": 300_000}
