"""Is it the same recording? Clips whose waveforms fit onto each other at one shift, and at no other.

Different recordings of one kind of sound, rain or a word, have the same spectrum and never the same waveform. Level,
coding, noise, another rate and cuts leave most of it: what is left is the correlation of the two where they overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from petl_bench.benchmarks.landmarks import Landmarks, candidates
from petl_bench.cards import RATE

Samples = npt.NDArray[np.float32]

LEVELLED_RATE = RATE // 2
LOWEST, HIGHEST = 50, 3_800
"""Hz: below is hum, above is what coders replace."""

SMOOTHING = 100
"""Hz over which a clip's spectrum is averaged before it is levelled, halfway: so that no one tone decides."""

SAME, MANY, SURELY = 0.5, 10, 0.7
"""Similarity from which on clips are the same where so many landmarks agree, and where fewer do.

Measured on different recordings: 0.45 at most of all that landmarks name in ESC-10 and Speech Commands, 0.57 (with two
landmarks) of generated sweeps; on a recording and itself coded, resampled, clipped or under noise at 10 dB: above 0.57
with many landmarks, in all but one clip in twenty above 0.7.
"""

ALONE, AROUND = 0.9, 16
"""At all shifts 2 ms (in samples) and more away the correlation is below this share: a steady tone fits everywhere."""

LEAST_SECONDS, LEAST_SHARE, LEAST_ENERGY = 0.4, 0.25, 0.1
"""Of the shorter clip, so much must overlap, with so much of the energy of each."""

MOST_PAIRS = 20_000
"""Pairs that are compared, or as many as there are clips where these are more."""

KEPT = 512
"""Clips that are in memory at a time."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Duplicate:
    """Two clips, by index, that hold the same recording. ``seconds``: how much later it begins in the second one."""

    first: int
    second: int
    similarity: float
    seconds: float


def duplicates(
    clips: Sequence[Landmarks],
    origins: npt.NDArray[np.int64],
    waveform: Callable[[int], Samples],
    progress: Progress,
) -> list[Duplicate]:
    """Pairs of clips of two ``origins`` that hold the same recording, the most similar first.

    ``origins`` is a number for every clip; ``waveform`` gives a clip's samples at 16 kHz, ``[samples]``.
    """
    pairs = candidates(clips, origins, max(MOST_PAIRS, len(clips)))
    level = lru_cache(KEPT)(lambda index: levelled(waveform(index)))
    found = []
    for done, (first, second, agreeing) in enumerate(sorted(pairs.tolist()), start=1):
        similarity, seconds = compare(level(first), level(second))
        if similarity >= (SAME if agreeing >= MANY else SURELY):
            found.append(Duplicate(first, second, similarity, seconds))
        progress(done, len(pairs))
    return sorted(found, key=lambda pair: -pair.similarity)


def levelled(waveform: Samples) -> Samples:
    """16 kHz samples -> 8 kHz, the spectrum halfway levelled: divided by the fourth root of its smoothed power."""
    count = fft.next_fast_len(len(waveform), real=True)
    count += count % 2
    spectrum = fft.rfft(waveform - waveform.mean(), count)
    power = ndimage.uniform_filter1d(np.abs(spectrum) ** 2, max(1, SMOOTHING * count // RATE), mode="nearest")
    spectrum /= np.maximum(power, 1e-6 * power.max() + np.finfo(np.float32).tiny) ** 0.25
    hertz = np.arange(len(spectrum)) * RATE / count
    spectrum[(hertz < LOWEST) | (hertz > HIGHEST)] = 0
    half: Samples = fft.irfft(spectrum[: count // 4 + 1], count // 2)[: len(waveform) // 2].astype(np.float32)
    return half


def compare(first: Samples, second: Samples) -> tuple[float, float]:
    """Similarity of two levelled clips from 0 to 1, and how many seconds later the same begins in the second.

    It is 0 where no shift stands out, or too little overlaps at the one that does.
    """
    count = fft.next_fast_len(len(first) + len(second), real=True)
    products = fft.irfft(fft.rfft(first, count) * np.conj(fft.rfft(second, count)), count)
    shifts = np.arange(1 - len(second), len(first))
    start, end = np.maximum(shifts, 0), np.minimum(shifts + len(second), len(first))
    energies = [_energy(first, start, end), _energy(second, start - shifts, end - shifts)]
    enough = end - start >= max(LEAST_SECONDS * LEVELLED_RATE, LEAST_SHARE * min(len(first), len(second)))
    for energy, clip in zip(energies, (first, second), strict=True):
        enough &= energy > LEAST_ENERGY * float(np.square(clip, dtype=np.float64).sum())
    if not enough.any():
        return 0.0, 0.0
    scale = np.sqrt(np.where(enough, energies[0] * energies[1], np.inf))
    correlation = np.abs(products[shifts]) / scale
    best = int(correlation.argmax())
    elsewhere = np.concatenate([correlation[: max(0, best - AROUND)], correlation[best + AROUND + 1 :]])
    similarity = float(correlation[best])
    if len(elsewhere) and elsewhere.max() > ALONE * similarity:
        return 0.0, 0.0
    return min(similarity, 1.0), float(-shifts[best] / LEVELLED_RATE)


def _energy(clip: Samples, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Energy of a clip between samples."""
    total = np.concatenate([[0.0], np.cumsum(np.square(clip, dtype=np.float64))])
    energy: npt.NDArray[np.float64] = total[end] - total[start]
    return energy
