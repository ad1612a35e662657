"""The same recording is found whatever was done to it, and the same kind of sound is not taken for it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
from torchaudio.functional import resample

from petl_bench.benchmarks.audio import read_audio, to_mono
from petl_bench.benchmarks.duplicates import Duplicate, compare, duplicates, levelled
from petl_bench.benchmarks.features import log_mel
from petl_bench.benchmarks.landmarks import NO_LANDMARKS, candidates, landmarks

Samples = npt.NDArray[np.float32]
RATE = 16_000


def sound(kind: str, seed: int, seconds: float = 3.0) -> Samples:
    """A recording of some kind of sound: what is drawn from ``seed`` differs from one to the next, the kind does not."""
    draw = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    phase = draw.uniform(0, 2 * np.pi)
    if kind == "rain":
        wave = draw.standard_normal(len(time)) * (
            1 + 0.3 * np.convolve(draw.standard_normal(len(time)), np.ones(800) / 28, "same")
        )
    elif kind == "engine":
        speed = 60 + np.cumsum(draw.standard_normal(len(time))) / 100
        wave = np.sign(np.sin(2 * np.pi * np.cumsum(speed) / RATE + phase)) + 0.2 * draw.standard_normal(len(time))
    elif kind == "tone":
        wave = np.sin(2 * np.pi * 440 * time + phase)
    elif kind == "hum":
        wave = sum(np.sin(2 * np.pi * 50 * h * time + draw.uniform(0, 6)) / h for h in range(1, 9))
    elif kind == "ticks":
        tick = np.exp(-np.arange(400) / 60) * np.random.default_rng(99).standard_normal(400)
        wave = np.zeros(len(time))
        for start in range(int(draw.uniform(0, RATE / 2)), len(wave) - 400, RATE // 2):
            wave[start : start + 400] += tick
    else:
        wave = np.zeros(len(time))
        for _ in range(int(4 * seconds)):
            at, length, pitch = draw.uniform(0, seconds - 0.3), draw.uniform(0.05, 0.3), draw.uniform(200, 3_000)
            there = (time >= at) & (time < at + length)
            wave += (
                there * np.sin(np.pi * (time - at) / length) * np.sin(2 * np.pi * pitch * (time - at) * (1 + time - at))
            )
    wave = 0.3 * wave / np.abs(wave).max()
    return (wave + 1e-3 * draw.standard_normal(len(wave))).astype(np.float32)


def coded(wave: Samples, container: str, subtype: str, **how: object) -> Samples:
    file = io.BytesIO()
    soundfile.write(file, np.clip(wave, -1, 1), RATE, format=container, subtype=subtype, **how)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def noisy(wave: Samples, decibels: float) -> Samples:
    level = np.sqrt(np.mean(wave**2)) * 10 ** (-decibels / 20)
    return wave + (level * np.random.default_rng(5).standard_normal(len(wave))).astype(np.float32)


def through(wave: Samples, rate: int) -> Samples:
    return resample(resample(torch.from_numpy(wave), RATE, rate), rate, RATE).numpy()[: len(wave)]


CHANGES: dict[str, Callable[[Samples], Samples]] = {
    "coded as Vorbis": lambda wave: coded(wave, "OGG", "VORBIS", compression_level=0.7),
    "coded as MP3": lambda wave: coded(wave, "MP3", "MPEG_LAYER_III"),
    "coded as Opus": lambda wave: coded(wave, "OGG", "OPUS"),
    "8 bits": lambda wave: coded(wave, "WAV", "ULAW"),
    "quieter": lambda wave: 0.1 * wave,
    "louder, clipped": lambda wave: np.clip(4 * wave, -1, 1),
    "turned upside down": lambda wave: -wave,
    "22.05 kHz": lambda wave: through(wave, 22_050),
    "8 kHz": lambda wave: through(wave, 8_000),
    "5 ms later": lambda wave: wave[80:],
    "1 s later": lambda wave: np.concatenate([np.zeros(RATE, np.float32), wave])[: len(wave)],
    "faint noise": lambda wave: noisy(wave, 30),
    "noise": lambda wave: noisy(wave, 15),
    "last two thirds": lambda wave: wave[len(wave) // 3 + 51 :],
    "much at once": lambda wave: coded(noisy(0.3 * wave[3_000:], 25), "MP3", "MPEG_LAYER_III"),
}


def found_among(waves: list[Samples], origins: list[int] | None = None) -> list[Duplicate]:
    marks = [landmarks(log_mel(torch.from_numpy(wave)[None])[0].numpy()) for wave in waves]
    numbers = np.arange(len(waves)) if origins is None else np.array(origins)
    return duplicates(marks, numbers, waves.__getitem__, lambda done, total: None)


def test_different_recordings_of_one_kind_are_not_the_same() -> None:
    """Rain, an engine, a tone, mains hum, the ticks of one clock: alike for the ear, and each a recording of its own."""
    waves = [sound(kind, seed) for kind in ("rain", "engine", "tone", "hum", "ticks", "birds") for seed in range(8)]
    assert found_among(waves) == []
    for kind in range(6):
        same_kind = [levelled(wave) for wave in waves[8 * kind : 8 * kind + 4]]
        assert max(compare(a, b)[0] for at, a in enumerate(same_kind) for b in same_kind[:at]) < 0.3


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["rain", "engine", "birds"])
def test_a_changed_copy_is_found_among_others_of_its_kind(kind: str, change: str) -> None:
    waves = [sound(kind, seed) for seed in range(6)]
    waves.append(CHANGES[change](waves[2]).astype(np.float32))
    pairs = [(found.first, found.second) for found in found_among(waves)]
    assert pairs == [(2, 6)]


def test_it_is_said_how_much_later_the_same_begins() -> None:
    wave = sound("birds", 1)
    (found,) = found_among([wave, wave[8_000:]])
    assert found.seconds == pytest.approx(-0.5, abs=0.001)
    (found,) = found_among([wave[8_000:], wave])
    assert found.seconds == pytest.approx(0.5, abs=0.001)
    assert 0.8 < found.similarity <= 1


def test_two_cuts_of_one_recording_are_found_where_they_overlap() -> None:
    long = sound("rain", 1, seconds=5.0)
    (found,) = found_among([long[: 3 * RATE], long[2 * RATE :]])
    assert found.seconds == pytest.approx(-2.0, abs=0.001)
    assert found_among([long[: 2 * RATE], long[3 * RATE :]]) == []


@pytest.mark.parametrize("kind", ["rain", "engine"])
def test_one_second_clips_are_found_too(kind: str) -> None:
    waves = [sound(kind, seed, seconds=1.0) for seed in range(10)]
    waves.append(noisy(0.5 * waves[3][1_000:], 25))
    assert [(found.first, found.second) for found in found_among(waves)] == [(3, 10)]


def test_clips_of_one_origin_are_not_compared() -> None:
    wave = sound("birds", 1)
    assert found_among([wave, 0.5 * wave], origins=[7, 7]) == []
    assert len(found_among([wave, 0.5 * wave, 0.2 * wave], origins=[7, 7, 8])) == 2


def test_little_is_no_obstacle() -> None:
    nothing = np.empty(0, np.int64)
    assert candidates([], nothing, 9).shape == (0, 3)
    assert candidates([NO_LANDMARKS] * 3, np.arange(3), 9).shape == (0, 3)
    short = sound("birds", 1, seconds=1.0)[:500]
    assert found_among([short, short.copy()]) == []
    assert len(landmarks(np.zeros((1, 128), np.float32)).triples) == 0
    assert len(landmarks(np.full((100, 128), -15.9, np.float32)).triples) == 0
    assert compare(levelled(np.zeros(8_000, np.float32)), levelled(short)) == (0.0, 0.0)


def test_a_family_larger_than_what_is_looked_up_at_once_is_found() -> None:
    """Thirty versions of one recording share their landmarks with more clips than NEIGHBOURS."""
    wave = sound("birds", 1)
    found = found_among([noisy(wave, 30 + at / 10).astype(np.float32) * (1 - at / 50) for at in range(30)])
    assert {found.first for found in found} | {found.second for found in found} == set(range(30))


@pytest.mark.exhaustive
def test_real_recordings_are_told_from_changed_copies(shared_data: Path) -> None:
    """Every twentieth clip of ESC-10, changed in every way: nearly all are found, and three pairs of the data set itself."""
    files = sorted((shared_data / "ESC-10" / "audio").iterdir())
    waves = [to_mono(*read_audio(path, 5.0)).numpy()[: 5 * RATE] for path in files]
    chosen = range(0, len(files), 20)
    whose = {}
    for name, change in CHANGES.items():
        for at in chosen:
            whose[len(waves)] = (name, at)
            waves.append(change(waves[at]).astype(np.float32))
    groups = [int(path.name.split("-")[1]) for path in files] + [-at for at in whose]
    found = found_among(waves, groups)
    counts = Counter(whose[pair.second][0] for pair in found if whose.get(pair.second, ("", -1))[1] == pair.first)
    for name in CHANGES:
        wanted = {"last two thirds": 0.8, "much at once": 0.8}.get(name, 0.95)  # of some the sound is over by then
        assert counts[name] >= wanted * len(chosen), name
    wrong = [
        pair
        for pair in found
        if whose.get(pair.first, ("", pair.first))[1] != whose.get(pair.second, ("", pair.second))[1]
    ]
    others = {tuple(sorted(whose.get(at, ("", at))[1] for at in (pair.first, pair.second))) for pair in wrong}
    assert {(files[a].stem, files[b].stem) for a, b in others} <= TWICE


TWICE = {("2-28314-A-12", "2-30322-A-12"), ("2-28314-B-12", "2-30322-B-12"), ("3-151080-A-20", "5-151085-A-20")}
"""Clips of ESC-10 whose Freesound numbers differ and whose waveforms fit onto each other: one recording, twice there."""
