"""Generated one-second clips: ten classes in five folds, deterministic, made in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from petl_bench.benchmarks.dataset import Clip, Layout
from petl_bench.cards import RATE
from petl_bench.seeds import derive_seed

VERSION = 1
CARRIERS = ("tone", "noise")
SHAPES = ("rising", "falling", "slow_tremolo", "fast_tremolo", "two_steps")
TAKES_PER_GROUP = 2
GROUPS_PER_FOLD = 4

Samples = npt.NDArray[np.float64]


class Synthetic(Layout):
    """A class is a carrier (harmonic tone or narrow-band noise) and how it moves over the second.

    Pitch, level, onset and background vary within a class: the average spectrum gives the carrier away, little of the
    movement. The takes of a group share pitch and timing.
    """

    folds = 5

    def scan(self) -> list[Clip]:
        return [
            Clip(
                id=f"{carrier}_{shape}-{fold}{group}-{take}",
                label=f"{carrier}_{shape}",
                group=f"{carrier}_{shape}-{fold}{group}",
                fold=fold,
            )
            for carrier in CARRIERS
            for shape in SHAPES
            for fold in range(1, self.folds + 1)
            for group in range(GROUPS_PER_FOLD)
            for take in range(TAKES_PER_GROUP)
        ]

    def read(self, clip: Clip, seconds: float | None = None) -> tuple[npt.NDArray[np.float32], int]:
        carrier, _, shape = clip.label.partition("_")
        group = np.random.default_rng(derive_seed("synthetic", VERSION, clip.group))
        take = np.random.default_rng(derive_seed("synthetic", VERSION, clip.id))
        frequency, envelope = _movement(shape, group)
        phase = 2 * np.pi * np.cumsum(frequency) / RATE
        sound = _tone(phase, group) if carrier == "tone" else _narrow_noise(phase, take)
        sound = sound * envelope
        sound = sound / np.sqrt(np.mean(sound**2))
        background = take.standard_normal(RATE) * 10 ** (-take.uniform(0, 15) / 20)
        level = 0.05 * 10 ** (take.uniform(-10, 0) / 20)
        return (level * (sound + background))[None].astype(np.float32), RATE

    def content_hashes(self, clips: Iterable[Clip]) -> list[str]:
        """The generator's version stands for the content, which it determines."""
        return [f"synthetic-{VERSION}" for _ in clips]


def _movement(shape: str, random: np.random.Generator) -> tuple[Samples, Samples]:
    """Frequency in Hz and amplitude over one second, ``[samples]`` each."""
    time = np.arange(RATE) / RATE
    base = 400 * 2 ** random.uniform(0, 2)
    start, length = random.uniform(0, 0.25), random.uniform(0.6, 0.75)
    place = np.clip((time - start) / length, 0, 1)
    envelope = np.where((place > 0) & (place < 1), np.sin(np.pi * place) ** 0.5, 0.0)
    octaves = random.uniform(0.4, 0.8)
    frequency = np.full(RATE, base)
    if shape in ("rising", "falling"):
        direction = 1 if shape == "rising" else -1
        frequency = base * 2 ** (direction * octaves * (place - 0.5))
    elif shape == "two_steps":
        frequency = base * 2 ** (octaves * np.where(place < 0.5, -0.5, 0.5))
    else:
        rate = random.uniform(3, 5) if shape == "slow_tremolo" else random.uniform(9, 14)
        envelope = envelope * (0.5 + 0.5 * np.sin(2 * np.pi * rate * time + random.uniform(0, 2 * np.pi)))
    return frequency, envelope


def _tone(phase: Samples, random: np.random.Generator) -> Samples:
    amplitudes = random.uniform(0.2, 1, 4) / np.arange(1, 5)
    harmonics = amplitudes[:, None] * np.sin(np.arange(1, 5)[:, None] * phase)
    total: Samples = harmonics.sum(axis=0)
    return total


def _narrow_noise(phase: Samples, random: np.random.Generator) -> Samples:
    """Noise of about 150 Hz bandwidth around the moving frequency."""
    width = RATE // 150
    slow = np.convolve(random.standard_normal(RATE + width - 1), np.hanning(width), mode="valid")
    result: Samples = slow * np.sin(phase)
    return result
