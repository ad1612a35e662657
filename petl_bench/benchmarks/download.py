"""One file from a web server into a file here. What has come stays: the next call asks for the rest only.

Resuming is safe by HTTP's own means (RFC 9110, sections 13.1.5 and 14): ``Range`` with ``If-Range``, so that a server
whose file has changed since sends all of it.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

import petl_bench
from petl_bench.errors import UserError
from petl_bench.files import write_atomically

ATTEMPTS = 5
"""In a row without ENOUGH bytes between them."""

ENOUGH = 2**20
BACKOFF = 1.0
"""Seconds before the second attempt; doubled before every further one."""

LONGEST_LENGTH = 20
"""Digits of a Content-Length that is taken for one."""

TIMEOUT = 60.0
BLOCK = 2**16
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}

Progress = Callable[[int, int | None], None]
"""Is told how many bytes are here, and of how many where that is known."""


class _TryAgainError(Exception):
    """An attempt that failed for a reason that may pass."""


@dataclass(frozen=True)
class _Source:
    """What a partial file is part of; ``validator`` is the strong ETag or the date by which a server knows it again."""

    url: str
    validator: str = ""
    size: int | None = None


def download(url: str, part: Path, progress: Progress) -> None:
    """Fetch ``url`` into ``part``, going on with what is there of it from an earlier call.

    A connection that breaks off is tried again a few times. Raises UserError where the server refuses, cannot be
    reached or is gone for good, or the disk is full; what has come is kept.
    """
    failures = 0
    while True:
        before = _size(part)
        try:
            _fetch(url, part, progress)
            return
        except _TryAgainError as error:
            failures = 1 if _size(part) >= before + ENOUGH else failures + 1
            if failures == ATTEMPTS:
                kept = f"; {_size(part):,} bytes are kept" if _size(part) else ""
                raise UserError(f"{url}: {error}{kept}; the same command goes on from there") from error
            time.sleep(BACKOFF * 2 ** (failures - 1))


def discard(part: Path) -> None:
    """Remove a partial file and what is known of it."""
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _fetch(url: str, part: Path, progress: Progress) -> None:
    source, have = _kept(url, part)
    if have and have == source.size:
        return
    headers = {"User-Agent": f"petl-bench/{petl_bench.__version__}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": source.validator}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            _receive(response, _Source(url, _validator(response)), source, part, have, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            discard(part)
            raise _TryAgainError("the file there is another one than was begun") from error
        if error.code in TEMPORARY:
            raise _TryAgainError(f"the server answers {error.code} {error.reason}") from error
        raise UserError(f"{url}: the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _TryAgainError(f"cannot be reached ({error.reason})") from error
    except (HTTPException, OSError) as error:
        raise _TryAgainError(f"the connection broke off ({error})") from error
    except ValueError as error:
        raise UserError(f"{url} is no address: {error}") from error


def _receive(response: HTTPResponse, now: _Source, before: _Source, part: Path, have: int, progress: Progress) -> None:
    """Write a response's body to ``part``, behind its ``have`` bytes where that is what the server sends."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() and len(length) < LONGEST_LENGTH else None
    if response.status == 206:
        sent = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if sent is None or int(sent[1]) != have or before.size not in (None, int(sent[2])):
            discard(part)
            raise _TryAgainError("the server sends another part than was asked for")
        total = int(sent[2])
    else:
        have = 0
    if total is not None and total - have > (free := shutil.disk_usage(part.parent).free):
        raise UserError(f"{now.url}: {total - have:,} bytes are to come, {free:,} are free in {part.parent}")
    try:
        with part.open("ab" if have else "wb") as file:
            _note(part, _Source(now.url, now.validator or (before.validator if have else ""), total))
            while block := _next(response):
                file.write(block)
                have += len(block)
                progress(have, total)
    except OSError as error:
        raise UserError(
            f"{part} cannot be written to ({error.strerror or error}); what has come of it is kept"
        ) from error
    if total is not None and have != total:
        raise _TryAgainError(f"the connection ended after {have:,} of {total:,} bytes")
    _note(part, _Source(now.url, now.validator, have))


def _next(response: HTTPResponse) -> bytes:
    """The next bytes of a body; what the network does is told from what the disk does."""
    try:
        return response.read1(BLOCK)
    except (HTTPException, OSError) as error:
        raise _TryAgainError(f"the connection broke off ({error})") from error


def _validator(response: HTTPResponse) -> str:
    """By which ``If-Range`` may know the file again: a weak ETag is not allowed there."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _kept(url: str, part: Path) -> tuple[_Source, int]:
    """What is known of a partial file, and how many of its bytes can be gone on with."""
    try:
        source = _Source(**json.loads(_notes(part).read_text("utf-8")))
        usable = source.url == url and isinstance(source.validator, str) and isinstance(source.size, int | None)
    except (OSError, ValueError, TypeError):
        usable = False
    have = _size(part)
    if not usable or (not source.validator and have != source.size):
        return _Source(url), 0
    return source, have


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note(part: Path, source: _Source) -> None:
    write_atomically(_notes(part), json.dumps(asdict(source)).encode())
