"""Is an audio file as long as it says? libsndfile decodes what is there of a file that was cut short, and says nothing.

Every container here tells where its sound ends: by a length in its header, a mark on its last page, or frames that can
be counted. FLAC needs no room here: its decoder refuses a stream that ends early.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

MOST_CHUNKS = 100_000
UNKNOWN_FROM = 0x7FFF_0000
"""Lengths from here on, and 0, are what programs write into a header to which they cannot come back."""

OGG_HEADER, OGG_FIRST, OGG_LAST = 27, 2, 4
MPEG_RATES = (44_100, 48_000, 32_000)
MPEG1_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG2_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def what_is_missing(path: Path, container: str) -> str:
    """What a file of a container (libsndfile's name of it) lacks at its end, in words; "" where nothing does.

    Raises KeyError for a container whose end cannot be told, OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(0, 2)
        size = file.tell()
        file.seek(0)
        return CONTAINERS[container](file, size)


def mpeg_samples(path: Path) -> int:
    """Samples per channel in all whole MPEG frames of an MP3 file, the encoder's padding included."""
    with path.open("rb") as file:
        file.seek(0, 2)
        size = file.tell()
        return sum(samples for start, length, samples in _mpeg_frames(file, size) if start + length <= size)


def _nothing(file: BinaryIO, size: int) -> str:
    return ""


def _until(end: int, size: int) -> str:
    return f"its header promises {end - size:,} more bytes" if end > size else ""


def _wav(file: BinaryIO, size: int) -> str:
    """RIFF, RIFX, RF64 and BW64: the length of the ``data`` chunk, in ``ds64`` where it does not fit there."""
    order = "big" if file.read(12)[:4] == b"RIFX" else "little"
    long_data = 0
    for _ in range(MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        length = int.from_bytes(header[4:], order)  # type: ignore[arg-type]
        if header[:4] == b"data":
            length = long_data if length == 0xFFFF_FFFF else length
            known = 0 < length < UNKNOWN_FROM or length == long_data
            return _until(file.tell() + length, size) if known else ""
        body = file.tell()
        if header[:4] == b"ds64":
            long_data = int.from_bytes(file.read(16)[8:], "little")
        file.seek(body + length + length % 2)
    return ""


def _aiff(file: BinaryIO, size: int) -> str:
    file.seek(12)
    for _ in range(MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        length = int.from_bytes(header[4:], "big")
        if header[:4] == b"SSND":
            return _until(file.tell() + length, size) if 0 < length < UNKNOWN_FROM else ""
        file.seek(length + length % 2, 1)
    return ""


def _w64(file: BinaryIO, size: int) -> str:
    file.seek(40)
    for _ in range(MOST_CHUNKS):
        start, header = file.tell(), file.read(24)
        length = int.from_bytes(header[16:], "little")
        if len(header) < 24 or length < 24:
            break
        if header[:4] == b"data":
            return _until(start + length, size) if length < 2**62 else ""
        file.seek(min(start + length + -length % 8, size))
    return ""


def _caf(file: BinaryIO, size: int) -> str:
    file.seek(8)
    for _ in range(MOST_CHUNKS):
        header = file.read(12)
        if len(header) < 12:
            break
        length = int.from_bytes(header[4:], "big", signed=True)
        if header[:4] == b"data":
            return _until(file.tell() + length, size) if length > 0 else ""
        file.seek(min(file.tell() + max(length, 0), size))
    return ""


def _au(file: BinaryIO, size: int) -> str:
    header = file.read(12)
    order = "little" if header[:4] == b"dns." else "big"
    start, length = (int.from_bytes(header[at : at + 4], order) for at in (4, 8))  # type: ignore[arg-type]
    return _until(start + length, size) if 0 < length < UNKNOWN_FROM else ""


def _nist(file: BinaryIO, size: int) -> str:
    """SPHERE, whose header is text: samples per channel, channels, bytes of a sample."""
    text = file.read(1024).decode("latin-1")
    fields = dict(re.findall(r"^(\w+) -i (\d{1,15})", text, re.MULTILINE))
    names = ("sample_count", "channel_count", "sample_n_bytes")
    start = re.match(r"NIST_1A\s+(\d{1,9})\s", text)
    if start is None or not all(name in fields for name in names):
        return ""
    samples, channels, width = (int(fields[name]) for name in names)
    return _until(int(start[1]) + samples * channels * width, size)


def _ogg(file: BinaryIO, size: int) -> str:
    """Pages from first to last: the last one must be whole and be marked as the last of its stream."""
    at, last = 0, False
    while True:
        file.seek(at)
        header = file.read(OGG_HEADER)
        if header[:4] != b"OggS"[: len(header)] or not header:
            return "" if last else "its last page is not marked as the end"
        if last and len(header) == OGG_HEADER and header[5] & OGG_FIRST:
            return "a second stream follows the first"
        lengths = file.read(header[26]) if len(header) == OGG_HEADER else b""
        at += OGG_HEADER + len(lengths) + sum(lengths)
        if len(header) < OGG_HEADER or len(lengths) < header[26] or at > size:
            return "its last page is cut off"
        last = bool(header[5] & OGG_LAST)


def _mp3(file: BinaryIO, size: int) -> str:
    return "its last frame is cut off" if any(at + length > size for at, length, _ in _mpeg_frames(file, size)) else ""


def _mpeg_frames(file: BinaryIO, size: int) -> list[tuple[int, int, int]]:
    """Start, length in bytes and samples of every MPEG layer III frame in a row, after ID3 tags."""
    file.seek(0)
    data = file.read()
    at = 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        first, second, third, fourth = (byte & 0x7F for byte in data[at + 6 : at + 10])
        at += 10 + (first << 21 | second << 14 | third << 7 | fourth)
    frames = []
    while at + 4 <= size and data[at] == 0xFF and data[at + 1] & 0xE6 == 0xE2:
        version, bits, rate = data[at + 1] >> 3 & 3, data[at + 2] >> 4, data[at + 2] >> 2 & 3
        if version == 1 or rate == 3 or bits in (0, 15):  # reserved, or of a length that no header tells
            break
        hertz = MPEG_RATES[rate] >> (0, 0, 1, 2)[(3, 1, 2, 0).index(version)]
        kbits, samples = (MPEG1_KBITS[bits], 1152) if version == 3 else (MPEG2_KBITS[bits], 576)
        length = samples // 8 * kbits * 1000 // hertz + (data[at + 2] >> 1 & 1)
        frames.append((at, length, samples))
        at += length
    return frames


CONTAINERS: dict[str, Callable[[BinaryIO, int], str]] = {
    **dict.fromkeys(("WAV", "WAVEX", "RF64"), _wav),
    "AIFF": _aiff,
    "W64": _w64,
    "CAF": _caf,
    "AU": _au,
    "NIST": _nist,
    "OGG": _ogg,
    "MP3": _mp3,
    "FLAC": _nothing,
}
