"""A small fuzzer: mutants of valid inputs, the same from the same seed, and what a parser may do with them."""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from petl_bench.errors import UserError

LONG = int(os.environ.get("PETL_BENCH_TEST_FUZZ", "1000"))
"""Inputs per parser in a long run."""
EDITS_AT_MOST = 6
LONGEST_MESSAGE = 1_000
INTERESTING = (
    *(bytes([value]) for value in (0, 1, 0x7F, 0x80, 0xFF)),
    *(value.to_bytes(4, order) for value in (0, 1, 2**31 - 1, 2**31, 2**32 - 1) for order in ("little", "big")),
    *(value.to_bytes(8, "little") for value in (2**63 - 1, 2**63, 2**64 - 1)),
    *(text.encode() for text in ("", "\0", "\n", "\r", '"', "'", ",", ";", "\t", "=", "[", "]", "{", "}", "#")),
    *(text.encode() for text in ("-1", "0", "1e999", "nan", "inf", "99999999999999999999", "0x10", "true", "null")),
    *(text.encode() for text in ("../", "../../x", "/etc/passwd", "C:\\x", "~", "%s%n", "\ufeff", "\u202e", "ß")),
    b"\xed\xa0\x80",  # a lone surrogate, as it would be in UTF-8
    b"\xff\xfe",
)


class Hang(BaseException):
    """Raised in the middle of a parser that takes too long; no ``except Exception`` stops it."""


@dataclass(frozen=True)
class Survival:
    """How many inputs a parser accepted and refused."""

    accepted: int
    refused: int


def mutants(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """``count`` inputs made from ``seeds`` by up to six edits each; the seeds themselves come first.

    Edits: bits flipped, ends cut off, pieces of another seed put in, interesting values put in or written over, pieces
    left out or said twice. One seed gives the same inputs everywhere.
    """
    draw = random.Random(seed)
    for number in range(count):
        if number < len(seeds):
            yield seeds[number]
            continue
        data = draw.choice(seeds)
        for _ in range(draw.randint(1, EDITS_AT_MOST)):
            data = draw.choice(EDITS)(data, draw, seeds)
        yield data


def survive(parse: Callable[[bytes], object], inputs: Iterable[bytes], seconds_each: float) -> Survival:
    """Give every input to ``parse``, which may return or raise a UserError of one short line, and must do so in time.

    Raises AssertionError over anything else, the input named. A hang in foreign code, where no exception can be raised,
    ends the process with a traceback.
    """
    accepted = refused = 0
    for number, data in enumerate(inputs):
        try:
            with _alarm(seconds_each):
                parse(data)
            accepted += 1
        except UserError as error:
            message = str(error)
            assert len(message.splitlines()) == 1, f"input {number}, {data[:500]!r}: not one line: {message[:500]!r}"
            assert len(message) < LONGEST_MESSAGE, f"input {number}, {data[:500]!r}: a long line: {message[:500]!r}"
            refused += 1
        except (Exception, Hang) as error:
            raise AssertionError(f"input {number}, {data[:2000]!r}: {type(error).__name__}: {error}") from error
    return Survival(accepted, refused)


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, and every folder and link: what must not change outside a target."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        for path in sorted(folder.rglob("*"))
    }


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(10 * seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


Edit = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def _place(data: bytes, draw: random.Random) -> int:
    """A position, near the start as often as not: that is where headers are."""
    return draw.randint(0, min(len(data), 64) if draw.random() < 0.5 else len(data))


def _piece(data: bytes, draw: random.Random) -> tuple[int, int]:
    start = _place(data, draw)
    return start, min(len(data), start + 1 + int(draw.expovariate(1 / 16)))


def _flip(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if changed:
            changed[min(_place(data, draw), len(data) - 1)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    return data[: _place(data, draw)]


def _splice(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = draw.choice(seeds)
    return data[: _place(data, draw)] + other[_place(other, draw) :]


def _insert(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    at = _place(data, draw)
    return data[:at] + draw.choice(INTERESTING) + data[at:]


def _overwrite(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    at, value = _place(data, draw), draw.choice(INTERESTING)
    return data[:at] + value + data[at + len(value) :]


def _delete(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _piece(data, draw)
    return data[:start] + data[end:]


def _repeat(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _piece(data, draw)
    return data[:end] + data[start:end] * draw.choice((1, 1, 1, 50)) + data[end:]


EDITS: tuple[Edit, ...] = (_flip, _truncate, _splice, _insert, _overwrite, _delete, _repeat)
