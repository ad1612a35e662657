"""Zip and tar archives into a folder, and not a byte beside it.

Nothing is taken on trust: all members are checked before one is written, only plain files and folders are made, each
under a name that is new, and no more is written than the archive declared.
"""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from petl_bench.errors import UserError

MOST_MEMBERS = 1_000_000
LONGEST_NAME = 500
EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
LONGEST_EXTENSION = 2**20
"""Bytes of a tar header that holds names and the like, which is read into memory."""
MOST_AFTER_THE_END = 2**20
"""Bytes after a tar archive's end; tar itself fills up to 10 KB."""

BLOCK = 2**20

Progress = Callable[[int, int | None], None]
"""Is told how many bytes are written, and of how many."""


class BadArchiveError(UserError):
    """What is no archive, or not one that is unpacked."""


@dataclass(frozen=True)
class _Member:
    """One entry of an archive; ``fault`` says why it is neither a file nor a folder."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None]
    fault: str = ""


def unpack(archive: Path, folder: Path, progress: Progress) -> None:
    """Unpack ``archive`` into ``folder``, which is made.

    Raises BadArchiveError where it is no archive, damaged, or has a member that would land outside of the folder, is a
    link or a device, or stands there twice; UserError where the disk is too small. The folder may then hold a part.
    """
    free = shutil.disk_usage(folder.parent).free
    try:
        with _opened(archive) as members:
            files = _checked(archive, members, free, folder.parent)
            folder.mkdir()
            written, total = 0, sum(member.size for member in files.values())
            for path, member in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                for block in _blocks(archive, member, folder / path):
                    written += block
                    progress(written, total)
    except (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
        *(ValueError, OverflowError, NotImplementedError, RuntimeError, KeyError),
    ) as error:
        raise BadArchiveError(f"{archive} is damaged: {_reason(error)}") from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2 say so that their data are wrong
            raise BadArchiveError(f"{archive} is damaged: {_reason(error)}") from error
        raise UserError(f"{archive} cannot be unpacked in {folder.parent}: {error.strerror}") from error


def _blocks(archive: Path, member: _Member, target: Path) -> Iterator[int]:
    """Write a member to a new file, block by block; yields how many bytes each had."""
    left = member.size
    source = member.open()
    assert source is not None
    with source, target.open("xb") as file:
        while left >= 0 and (block := source.read(min(BLOCK, left + 1))):
            left -= len(block)
            if left >= 0:
                file.write(block)
                yield len(block)
    if left:
        raise BadArchiveError(f"{archive} is damaged: {_shown(member.name)} is not as long as it is said to be")


def _checked(archive: Path, members: Iterator[_Member], free: int, parent: Path) -> dict[PurePosixPath, _Member]:
    """The files by their path below the folder. Raises UserError over the first that cannot be let in."""
    files: dict[PurePosixPath, _Member] = {}
    is_folder: dict[str, bool] = {}  # of every name so far, as a file system that knows no case sees it
    total = 0
    for number, member in enumerate(members):
        path = PurePosixPath(member.name)
        fault = member.fault or _fault_of(member.name)
        if number >= MOST_MEMBERS:
            fault = f"is one more than {MOST_MEMBERS:,}"
        elif not (path.parts or member.is_folder):
            fault = "has no name"
        elif _key(path) in is_folder and not (member.is_folder and is_folder[_key(path)]):
            fault = "stands there twice"
        elif not all(is_folder.get(_key(above), True) for above in path.parents):
            fault = "stands below a file"
        if fault:
            raise BadArchiveError(f"{archive} is refused: its member {_shown(member.name)} {fault}")
        is_folder |= {_key(above): True for above in path.parents} | {_key(path): member.is_folder}
        if not member.is_folder:
            files[path] = member
            total += member.size
        if total > free:
            raise UserError(f"{archive} holds {total:,} bytes or more, {free:,} are free in {parent}")
    if not files:
        raise BadArchiveError(f"{archive} is refused: there is no file in it")
    return files


def _fault_of(name: str) -> str:
    """Why a name may not be unpacked, "" where it may."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\\" in name or ".." in name.split("/"):
        return "would land outside of its folder"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "has a name of control characters"
    return "has too long a name" if len(name) > LONGEST_NAME else ""


def _key(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _shown(name: str) -> str:
    return ascii(name[:100])


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Member]]:
    with archive.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        with zipfile.ZipFile(archive) as zipped:
            yield (_in_zip(zipped, info) for info in zipped.infolist())
        return
    try:
        tar = tarfile.open(archive, "r:*", tarinfo=_StrictHeader)  # noqa: SIM115  (closed below)
    except tarfile.ReadError as error:
        raise BadArchiveError(f"{archive} is neither a zip nor a tar archive, or its beginning is damaged") from error
    with tar:
        yield _in_tar(tar)


def _in_zip(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    fault = ""
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "is a link or a device"
    elif info.flag_bits & 1:
        fault = "is encrypted"
    name = info.orig_filename  # of ``filename``, what follows a NUL has been left out
    return _Member(name, info.file_size, info.is_dir(), partial(zipped.open, info), fault)


def _in_tar(tar: tarfile.TarFile) -> Iterator[_Member]:
    """The members; after the last one the rest is read, so that a compressed archive's checksum is compared."""
    for info in tar:
        is_file = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse()
        fault = "" if is_file or info.isdir() else "is a link, a device or a file with holes"
        yield _Member(info.name, info.size, info.isdir(), partial(tar.extractfile, info), fault)
    file: Any = tar.fileobj
    after = 0
    while block := file.read(BLOCK):
        after += len(block)
        if after > MOST_AFTER_THE_END:
            raise tarfile.ReadError("there is more after its end")


class _StrictHeader(tarfile.TarInfo):
    """A header that is wrong is an error wherever it stands; tarfile takes it for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _StrictHeader:
        try:
            info = super().frombuf(buf, encoding, errors)
            if info.type in EXTENSIONS and info.size > LONGEST_EXTENSION:
                raise tarfile.ReadError("a header is too long")
            return info
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise  # the block of zeros that ends an archive
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
