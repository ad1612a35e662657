"""Which clips may hold the same recording: those in which peaks of the spectrogram, three at a time, stand alike.

Peaks survive what is done to recordings (coding, level, noise, another rate, a cut), and three of them with their
distances in time are rare enough to be looked up, whatever kind of sound they are in. After A. Wang, An industrial
strength audio search algorithm (ISMIR 2003), with triples in place of pairs, since clips are short.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

FRAMES, BINS = 7, 9
"""A peak is the highest point so many frames and bins around."""

RANGE = 60.0
"""Decibels below a clip's loudest point in which peaks are looked for."""

CELL = 33
"""Frames, a third of a second, of which the peaks are taken that stand out most."""

REACH = 60
"""Frames that a triple lasts at most."""

TIERS = ((10, 6), (4, 4))
"""So many peaks of a cell, each with two of so many next ones: many, and those few that noise leaves over."""

COMMON = 200
"""A triple that so many places share tells nothing."""

NEIGHBOURS = 20
"""Of the places that share a triple, each is paired with so many next ones."""

VOTES = 2
"""Triples that must agree on how two clips lie to each other."""

STEP = 3
"""Frames within which they agree."""


@dataclass(frozen=True)
class Landmarks:
    """Triples of one clip, ``[triples]``, and their frames."""

    triples: npt.NDArray[np.uint32]
    frames: npt.NDArray[np.int16]


NO_LANDMARKS = Landmarks(np.empty(0, np.uint32), np.empty(0, np.int16))


def landmarks(log_mel: npt.NDArray[np.float32]) -> Landmarks:
    """The landmarks of a log-mel spectrogram ``[frames, 128]``."""
    frame, mel, rank = _peaks(log_mel)
    found = []
    for peaks, fan in TIERS:
        kept = rank < peaks
        found += [_triples(frame[kept], mel[kept], at, to) for at, to in combinations(range(1, fan + 1), 2)]
    both = np.unique(np.concatenate(found))
    return Landmarks((both >> 16).astype(np.uint32), (both & 0x7FFF).astype(np.int16))


def _triples(
    frame: npt.NDArray[np.int64], mel: npt.NDArray[np.int64], second: int, third: int
) -> npt.NDArray[np.int64]:
    """Every peak with its ``second`` and ``third`` next, in 28 bits, and its frame in the 16 bits below."""
    first = np.arange(max(0, len(frame) - third))
    near, far = frame[first + second] - frame[first], frame[first + third] - frame[first]
    packed = np.zeros(len(first), np.int64)
    for place in (first, first + second, first + third):
        packed = packed << 6 | mel[place] // 2
    for distance in (near, far):
        packed = packed << 5 | distance // 2
    return (packed << 16 | frame[first] & 0x7FFF)[(far > 0) & (far < REACH)]


def candidates(clips: Sequence[Landmarks], origins: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Pairs of clips of two ``origins`` whose landmarks agree, ``[pairs, 3]``: both, the lower first, and how many do.

    There are at most ``most``, those with the most that agree first. Takes about 50 bytes per triple, however many
    pairs there are.
    """
    triples = np.concatenate([NO_LANDMARKS.triples, *(clip.triples for clip in clips)])
    order = np.argsort(triples, kind="stable")
    triples = triples[order]
    starts = np.flatnonzero(np.diff(triples, prepend=triples[:1] ^ np.uint32(1)))
    lengths = np.diff(np.append(starts, len(triples)))
    shared = np.repeat((lengths > 1) & (lengths <= COMMON), lengths)
    triples, order = triples[shared], order[shared]
    sizes = np.array([len(clip.triples) for clip in clips], np.int64)
    clip = np.repeat(np.arange(len(clips), dtype=np.int32), sizes)[order]
    frame = np.concatenate([NO_LANDMARKS.frames, *(clip.frames for clip in clips)])[order]
    del order, shared
    bits = max(16, len(triples).bit_length() + 2)
    seen = np.zeros(2**bits, np.uint16)
    for places in _shared_places(triples, clip, frame, origins):
        np.add.at(seen, _bucket(places, bits), 1)
    often = [places[seen[_bucket(places, bits)] >= VOTES] for places in _shared_places(triples, clip, frame, origins)]
    best, votes = _best(*np.unique(np.concatenate(often), return_counts=True))
    return np.stack([best >> 24, best & 0xFFFFFF, votes], axis=1)[:most]


def _shared_places(
    triples: npt.NDArray[np.uint32],
    clip: npt.NDArray[np.int32],
    frame: npt.NDArray[np.int16],
    origins: npt.NDArray[np.int64],
) -> Iterator[npt.NDArray[np.int64]]:
    """For triples that are sorted: two clips that share one, and how they then lie to each other, in one number."""
    for apart in range(1, NEIGHBOURS + 1):
        (alike,) = np.nonzero(triples[apart:] == triples[:-apart])
        first, second = clip[alike], clip[alike + apart]
        kept = origins[first] != origins[second]
        alike, first, second = alike[kept], first[kept].astype(np.int64), second[kept]
        offset = (frame[alike + apart].astype(np.int64) - frame[alike]) // STEP
        yield first << 40 | second.astype(np.int64) << 16 | offset + 2**15


def _bucket(places: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.uint64]:
    """A number of so many bits for every place (multiplicative hashing): most are met once and need no sorting."""
    return places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - bits)


def _best(
    places: npt.NDArray[np.int64], votes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Every pair of which VOTES triples agree, once, and how many do, those with the most first."""
    order = np.argsort(-votes, kind="stable")
    order = order[votes[order] >= VOTES]
    pairs = places[order] >> 16
    first = np.sort(np.unique(pairs, return_index=True)[1])
    return pairs[first], votes[order][first]


def _peaks(log_mel: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], ...]:
    """Frame and mel bin of the peaks, in order of time, and how many of the same cell stand out more."""
    smooth = ndimage.uniform_filter(log_mel, 3, mode="nearest")
    height = smooth - ndimage.uniform_filter(smooth, 31, mode="nearest")
    highest = ndimage.maximum_filter(smooth, (FRAMES, BINS), mode="nearest")
    frame, mel = np.nonzero((smooth == highest) & (height > 0.1) & (smooth > smooth.max() - RANGE / 10 * np.log(10)))
    order = np.lexsort((-height[frame, mel], frame // CELL))
    cell = frame[order] // CELL
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(cell, cell)
    return frame, mel, rank
