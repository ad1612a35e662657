"""A data set's official archive fetched, compared with its checksum, unpacked and looked through; or nothing at all."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol
from urllib.parse import urlsplit

from petl_bench.benchmarks.archives import BadArchiveError, unpack
from petl_bench.benchmarks.dataset import Clip, FileLayout, Layout, scan_dataset
from petl_bench.benchmarks.download import discard, download
from petl_bench.cards import BenchmarkCard, Download
from petl_bench.claims import Claims, Owner
from petl_bench.errors import UserError
from petl_bench.registry import LAYOUTS

Unit = Literal["bytes", "clips", "pairs"]


class Progress(Protocol):
    """Is told of every step how much is done, and of how much where that is known."""

    def __call__(self, step: str, done: int, total: int | None, unit: Unit) -> None: ...


@dataclass(frozen=True)
class Acquired:
    """A whole copy of a data set; ``archive`` where that was kept, ``already`` where the copy was there before."""

    clips: int
    folder: Path
    archive: Path | None = None
    already: bool = False


def acquire(
    name: str, card: BenchmarkCard, folder: Path, given: Path | None, keep_archive: bool, progress: Progress
) -> Acquired:
    """Put the data set of a card into ``folder``, from the archive ``given`` or else the official one.

    Raises UserError where there is no archive, it is not what was published or not what the card describes, or the
    folder is in use; ``folder`` is then as it was.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        return _already(name, card, folder)
    published = card.download or Download(url="")
    if given is not None and not given.is_file():
        raise UserError(f"--from {given}: no such file")
    if given is None and not published.archive:
        raise UserError(_no_archive(name, card, folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder.parent} cannot be made ({error.strerror or error})") from error
    if given is not None:
        return Acquired(_install(name, card, given, folder, progress), folder)
    kept = folder.with_name(f"{folder.name}-{PurePosixPath(urlsplit(published.archive).path).name}")
    if keep_archive and kept.exists():
        raise UserError(f"--keep-archive: {kept} is there already; --from {kept} uses it")
    part = folder.with_name(f"{folder.name}.part")
    claim = Claims(folder.parent).take(f".{folder.name}.get")
    if isinstance(claim, Owner):
        raise UserError(f"{name}: {claim} gets it into {folder} now: wait for that, then go on")
    with claim:
        download(published.archive, part, lambda done, total: progress("downloading", done, total, "bytes"))
        try:
            clips = _install(name, card, part, folder, progress)
        except BadArchiveError as error:
            discard(part)  # or the next call would take it for a good one
            raise BadArchiveError(str(error).replace(str(part), published.archive)) from error
        if keep_archive:
            part.rename(kept)
        discard(part)
    return Acquired(clips, folder, kept if keep_archive else None)


def whole_copy(name: str, card: BenchmarkCard, folder: Path) -> tuple[Layout, list[Clip]]:
    """The layout and the clips in ``folder``. Raises UserError unless it holds all that the card and its table say."""
    layout, clips = scan_dataset(name, card, folder)
    absent = [clip.id for clip in clips if isinstance(layout, FileLayout) and not layout.file(clip).is_file()]
    if absent:
        raise UserError(f"{name}: {len(absent):,} of {len(clips):,} clips are not in {folder}, {absent[0]} first")
    if card.clip_count not in (None, len(clips)):
        raise UserError(f"{name}: {len(clips):,} clips are in {folder}, the card says {card.clip_count:,}")
    return layout, clips


def _already(name: str, card: BenchmarkCard, folder: Path) -> Acquired:
    try:
        _, clips = whole_copy(name, card, folder)
    except UserError as error:
        reason = str(error).partition("; ")[0]
        raise UserError(
            f"{folder} is in use and is no whole copy of the data set ({reason}): move it away, or give another folder "
            f"with --data-dir"
        ) from error
    return Acquired(len(clips), folder, already=True)


def _no_archive(name: str, card: BenchmarkCard, folder: Path) -> str:
    if card.download is not None:
        licence = f" (licence: {card.download.licence})" if card.download.licence else ""
        return (
            f"{name}: its makers hand it out themselves{licence}: get it from {card.download.url}, then unpack it with "
            f"petl-bench data get {name} --from ARCHIVE"
        )
    if issubclass(LAYOUTS.load(card.layout).cls, FileLayout):
        return f"{name}: the card names no archive: put the data set into {folder}, or give its folder with --data-dir"
    return f"{name}: its clips are generated, there is nothing to get"


def _install(name: str, card: BenchmarkCard, archive: Path, folder: Path, progress: Progress) -> int:
    """Unpack an archive beside ``folder``, look it through, and rename it to ``folder``; the number of clips."""
    published = card.download or Download(url="")
    _compare_checksum(archive, published)
    with _temporary_folder(folder) as temporary:
        unpack(archive, temporary, lambda done, total: progress("unpacking", done, total, "bytes"))
        root = _only_folder(temporary)
        try:
            layout, clips = whole_copy(name, card, root)
            if not (published.sha256 or published.md5):
                for done, clip in enumerate(clips, start=1):
                    layout.read(clip)
                    progress("reading", done, len(clips), "clips")
        except UserError as error:
            reason = str(error).replace(str(root), "it").partition("; ")[0]
            raise BadArchiveError(f"{archive} does not hold the whole data set: {reason}") from error
        try:
            if folder.is_dir():
                folder.rmdir()
            root.rename(folder)
        except OSError as error:
            if folder.is_dir():
                return _already(name, card, folder).clips  # another process was quicker
            raise UserError(f"{folder} cannot be made ({error.strerror or error})") from error
    return len(clips)


def _compare_checksum(archive: Path, published: Download) -> None:
    for kind, expected in (("sha256", published.sha256), ("md5", published.md5)):
        if expected:
            with archive.open("rb") as file:
                found = hashlib.file_digest(file, kind).hexdigest()
            if found != expected:
                raise BadArchiveError(
                    f"{archive} is not what was published: its {kind} is {found}, not {expected}; get it again"
                )


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """A path beside ``folder`` for a folder that is gone afterwards."""
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _only_folder(folder: Path) -> Path:
    """The folder that an archive has packed itself into, or ``folder`` where it has not."""
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
