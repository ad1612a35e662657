"""Audio files to 16 kHz mono samples; what cannot be that is refused by name, never guessed."""

from __future__ import annotations

import math
import stat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torchaudio.functional import resample

from petl_bench.benchmarks.containers import CONTAINERS, mpeg_samples, what_is_missing
from petl_bench.cards import RATE
from petl_bench.errors import UserError

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
MOST_CHANNELS = 64
LOUDEST = 100.0
"""Full scale is 1. Samples of a float file above this, 40 dB over it, are of another scale or no sound at all."""

MARGIN = 1.0
"""Seconds that are kept beyond those asked for: the resampler's filter must not see the cut."""

KERNEL_VALUES = 25_000_000
"""At most so many values in the resampler's filter: 200 MB in double precision."""

BLOCK_VALUES = 2**24
"""Samples that are decoded at a time: all of an ordinary clip, and of a header's false claim not more than 64 MB."""

MPEG_FRAME = 1_152


def read_audio(path: Path, seconds: float | None = None) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a file: samples ``[channels, samples]`` in [-1, 1] and the rate in Hz.

    With ``seconds``, little more than so many are returned of a longer file; it is decoded to its end all the same, so
    that damage is found wherever it is. Raises UserError, file named, where the file is absent, empty, not audio, cut
    short, of a rate or a number of channels that is none, or holds samples that are not finite.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is not a file")
        if status.st_size == 0:
            raise UserError(f"{path} is empty")
        with soundfile.SoundFile(path) as file:
            _check_header(path, file)
            kept, frames = _decode(path, file, seconds)
            if frames == 0:
                raise UserError(f"{path} holds no samples")
            _check_length(path, file, frames)
            return kept.T, file.samplerate
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} cannot be decoded: {error.error_string or 'its header says too little'}") from error
    except UnicodeEncodeError as error:
        name = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
        raise UserError(f"{name}: a name that is not UTF-8 text cannot be opened: rename the file") from error
    except TypeError as error:  # soundfile asks for the rate of what is called .raw
        raise UserError(f"{path} has no header: convert it to WAV or FLAC") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def to_mono(samples: npt.NDArray[np.float32], rate: int) -> torch.Tensor:
    """``[channels, samples]`` at ``rate`` Hz -> ``[samples]`` at 16 kHz: channels averaged, torchaudio's resampler."""
    mono = torch.from_numpy(np.ascontiguousarray(samples)).mean(dim=0)
    return mono if rate == RATE else resample(mono, rate, RATE)


def _check_header(path: Path, file: soundfile.SoundFile) -> None:
    """Refuse what the header alone shows to be wrong, before anything is allocated."""
    if file.format not in CONTAINERS:
        raise UserError(f"{path} is a file of type {file.format}, whose end cannot be told: convert it to WAV or FLAC")
    if missing := what_is_missing(path, file.format):
        raise UserError(f"{path} is cut short: {missing}; get the file again")
    if not 1 <= file.channels <= MOST_CHANNELS:
        raise UserError(f"{path} has {file.channels} channels: at most {MOST_CHANNELS} are read")
    rate = file.samplerate
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise UserError(f"{path} has a rate of {rate:,} Hz: {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz are read")
    step = math.gcd(rate, RATE)
    taps = rate // step + 2 * math.ceil(6 * rate / (0.99 * min(rate, RATE)))  # as torchaudio's resampler lays it out
    if RATE // step * taps > KERNEL_VALUES:
        raise UserError(
            f"{path} has a rate of {rate:,} Hz, which has too little in common with {RATE:,} Hz to be resampled: "
            f"convert it to a usual rate, as 16,000 or 44,100 Hz"
        )


def _decode(path: Path, file: soundfile.SoundFile, seconds: float | None) -> tuple[npt.NDArray[np.float32], int]:
    """Samples to keep, ``[samples, channels]``, and the number of all."""
    wanted = math.inf if seconds is None else (seconds + MARGIN) * file.samplerate
    kept: list[npt.NDArray[np.float32]] = []
    frames = 0
    while len(block := file.read(BLOCK_VALUES // file.channels, dtype="float32", always_2d=True)):
        if not np.abs(block).max() <= LOUDEST:
            raise UserError(f"{path} holds samples that are not finite, or far beyond full scale: it is no sound")
        if frames < wanted:
            kept.append(block[: math.ceil(min(wanted - frames, len(block)))])
        frames += len(block)
    return np.concatenate(kept or [np.empty((0, file.channels), np.float32)]), frames


def _check_length(path: Path, file: soundfile.SoundFile, frames: int) -> None:
    """Refuse a file of which fewer samples came than its header, or the frames of an MP3, hold."""
    declared, spare = file.frames, 0
    if file.format == "MP3":  # its decoder looks for frames in anything, and guesses a length where none is said
        spare, held = MPEG_FRAME, mpeg_samples(path)
        if not held:
            raise UserError(f"{path} cannot be decoded: it does not begin with an MP3 frame")
        if frames < held - 4 * MPEG_FRAME:
            raise UserError(f"{path} is an MP3 file that does not say how long it is: convert it to WAV or FLAC")
    if frames < declared - spare:
        raise UserError(f"{path} is cut short: its header promises {declared:,} samples, {frames:,} are there")
