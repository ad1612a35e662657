"""Archives, good and bad: all of them within their folder, or none."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from petl_bench.benchmarks import archives as room
from petl_bench.benchmarks.archives import BadArchiveError, unpack
from petl_bench.errors import UserError
from tests.fuzz.mutations import files_below

FILES = {"set/meta/table.csv": b"a,b\n" * 1_000, "set/audio/a.wav": bytes(range(256)) * 40, "set/empty": b""}


def zipped(files: dict[str, bytes] | list[tuple[zipfile.ZipInfo | str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return out.getvalue()


def tarred(members: dict[str, bytes] | list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for member, content in members.items() if isinstance(members, dict) else members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg() and not info.size:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def try_to_unpack(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "box").mkdir(parents=True, exist_ok=True)
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    unpack(archive, tmp_path / "box" / "folder", lambda done, total: None)
    return tmp_path / "box" / "folder"


PACKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "tar": lambda files: tarred(files, "w"),
    "tar.gz": tarred,
    "tar.bz2": lambda files: tarred(files, "w:bz2"),
    "tar.xz": lambda files: tarred(files, "w:xz"),
}


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_is_unpacked_whatever_it_is_called(tmp_path: Path, kind: str) -> None:
    told: list[tuple[int, int | None]] = []
    archive = tmp_path / "download"
    archive.write_bytes(PACKERS[kind](FILES))
    unpack(archive, tmp_path / "folder", lambda done, total: told.append((done, total)))
    assert {name: data for name, data in files_below(tmp_path / "folder").items() if data} == {
        k: v for k, v in FILES.items() if v
    }
    assert (tmp_path / "folder" / "set" / "empty").is_file()
    assert told[-1] == (14_240, 14_240)


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_that_is_cut_short_is_damaged(tmp_path: Path, kind: str) -> None:
    whole = PACKERS[kind](FILES)
    shares = (0.95, 0.5, 0.1) if kind != "tar" else (0.5, 0.1)  # a tar file ends in zeros, of which it needs 512
    for share in shares:
        with pytest.raises(BadArchiveError, match="archive is (damaged|neither)") as error:
            try_to_unpack(tmp_path / str(share), whole[: int(share * len(whole))])
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_wrong_byte_is_found_by_the_checksum(tmp_path: Path, kind: str) -> None:
    content = bytearray(PACKERS[kind]({"a": b"".join(bytes([n % 251]) for n in range(50_000))}))
    content[len(content) // 2] ^= 0x10
    with pytest.raises(BadArchiveError, match="is damaged"):
        try_to_unpack(tmp_path, bytes(content))


def test_a_header_that_is_wrong_is_not_taken_for_the_end(tmp_path: Path) -> None:
    """tarfile stops there and says nothing: half of a data set would do for the whole."""
    content = bytearray(tarred({"a": b"x" * 600, "b": b"y" * 600}, "w"))
    content[3 * 512 + 20] ^= 0xFF
    with pytest.raises(BadArchiveError, match="is damaged"):
        try_to_unpack(tmp_path, bytes(content))
    with pytest.raises(BadArchiveError, match="is damaged: there is more after its end"):
        try_to_unpack(tmp_path, tarred({"a": b"x"}, "w") + bytes(2**21))


OUTSIDE = ["../x", "a/../../x", "/tmp/petl-bench-x", "a/..", "..", "C:x", "C:/x", "a\\..\\x", "\\\\host\\x", "..\\x"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_a_member_that_would_land_outside_is_refused(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes], name: str
) -> None:
    content = pack({"good.txt": b"x", name: b"evil"})
    with pytest.raises(BadArchiveError, match="archive is refused: its member '.*' would land outside of its folder"):
        try_to_unpack(tmp_path, content)
    assert set(files_below(tmp_path)) == {"archive", "box"}


LINKS = {
    "symbolic link": [(entry("a", tarfile.SYMTYPE, "/tmp"), b""), (entry("a/x"), b"evil")],
    "relative link": [(entry("a", tarfile.SYMTYPE, "../.."), b""), (entry("a/x"), b"evil")],
    "hard link": [(entry("a", tarfile.LNKTYPE, "/etc/passwd"), b"")],
    "hard link inside": [(entry("b"), b"x"), (entry("a", tarfile.LNKTYPE, "b"), b"")],
    "device": [(entry("a", tarfile.CHRTYPE), b"")],
    "block device": [(entry("a", tarfile.BLKTYPE), b"")],
    "pipe": [(entry("a", tarfile.FIFOTYPE), b"")],
    "sparse": [(entry("a", tarfile.GNUTYPE_SPARSE), b"")],
}


@pytest.mark.parametrize("members", LINKS.values(), ids=LINKS)
def test_links_and_devices_in_a_tar_file_are_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    with pytest.raises(BadArchiveError, match="(its member 'a' is a link, a device or a file with holes)|is damaged"):
        try_to_unpack(tmp_path, tarred(members))
    assert set(files_below(tmp_path)) == {"archive", "box"}


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o666])
def test_links_and_devices_in_a_zip_file_are_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(BadArchiveError, match="its member 'a' is a link or a device"):
        try_to_unpack(tmp_path, zipped([(zip_entry("a", mode), b"/tmp"), ("a/x", b"evil")]))
    assert set(files_below(tmp_path)) == {"archive", "box"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "a"], "'a' stands there twice"),
        (["a", "A"], "'A' stands there twice"),
        (["x/a", "X/A"], "'X/A' stands there twice"),
        (["caf\u00e9", "cafe\u0301"], r"'cafe.u0301' stands there twice"),
        (["./a", "a"], "'a' stands there twice"),
        (["a", "a/b"], "'a/b' stands below a file"),
        (["a/b", "a"], "'a' stands there twice"),
        (["a\x07b"], r"'a.x07b' has a name of control characters"),
        (["a" * 501], "has too long a name"),
        (["."], "'.' has no name"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_would_overwrite_each_other_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for content in (tarred([(entry(name), b"x") for name in names]), zipped([(name, b"x") for name in names])):
        with pytest.raises(
            BadArchiveError, match=f"is refused: its member {message}" if message[0] == "'" else message
        ):
            try_to_unpack(tmp_path, content)
        assert set(files_below(tmp_path)) == {"archive", "box"}


def test_folders_may_stand_there_twice(tmp_path: Path) -> None:
    members = [
        (entry("./", tarfile.DIRTYPE), b""),
        (entry("a", tarfile.DIRTYPE), b""),
        (entry("a/b"), b"x"),
        (entry("a/", tarfile.DIRTYPE), b""),
    ]
    assert set(files_below(try_to_unpack(tmp_path, tarred(members)))) == {"a", "a/b"}


def test_a_zip_file_is_checked_for_more(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"x" * 100}))
    flags = content.index(b"PK\x01\x02") + 8
    content[flags] |= 1
    with pytest.raises(BadArchiveError, match="'a' is encrypted"):
        try_to_unpack(tmp_path, bytes(content))
    renamed = zipped({"a?/../../x": b"evil"}).replace(b"a?", b"a\0")
    with pytest.raises(BadArchiveError, match=r"'a.x00/../../x' would land outside"):
        try_to_unpack(tmp_path, renamed)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"<html>sign in</html>" * 100, b"PK\x05\x06" + bytes(18), bytes(10_240)]
)
def test_what_is_no_archive_or_an_empty_one_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadArchiveError, match="archive is (damaged|neither a zip nor a tar|refused: there is no file)"):
        try_to_unpack(tmp_path, content)


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage(0, 0, free))


def test_a_size_that_no_disk_has_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, free=10**9)
    huge = entry("a")
    huge.size = 2**50
    zipped_lie = bytearray(zipped({"a": b"x"}))
    at = zipped_lie.index(b"PK\x01\x02") + 24
    zipped_lie[at : at + 4] = struct.pack("<I", 0xFFFF_FFFE)
    for lie in (huge.tobuf(tarfile.GNU_FORMAT) + bytes(2_048), bytes(zipped_lie)):
        with pytest.raises(UserError, match="archive holds .* bytes or more, 1,000,000,000 are free in"):
            try_to_unpack(tmp_path, lie)
        assert set(files_below(tmp_path)) == {"archive", "box"}
    disk(monkeypatch, free=14_239)
    with pytest.raises(UserError, match="archive holds 14,240 bytes or more, 14,239 are free in"):
        try_to_unpack(tmp_path, zipped(FILES))


def test_no_more_is_written_than_was_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of zeros that calls itself ten bytes long; then a reader that does not stop there itself."""
    honest = zipped({"a": bytes(2**20)})
    lie = honest.replace(struct.pack("<I", 2**20), struct.pack("<I", 10))
    with pytest.raises(BadArchiveError, match="is damaged"):
        try_to_unpack(tmp_path / "1", lie)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda self, info: io.BytesIO(bytes(50)))
    with pytest.raises(BadArchiveError, match="'a' is not as long as it is said to be"):
        try_to_unpack(tmp_path / "2", lie)
    for number in "12":
        assert (tmp_path / number / "box" / "folder" / "a").stat().st_size <= 10


def test_so_many_members_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_MEMBERS", 2)
    with pytest.raises(BadArchiveError, match="'set/empty' is one more than 2"):
        try_to_unpack(tmp_path, tarred(FILES))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = entry("long", kind)
    content = b"0" * 2**22
    member.size = len(content)
    archive = io.BytesIO()
    with gzip.open(archive, "wb") as file:
        file.write(entry("first").tobuf() + member.tobuf() + content + entry("a").tobuf() + bytes(1024))
    with pytest.raises(BadArchiveError, match="a header is too long"):
        try_to_unpack(tmp_path, archive.getvalue())
