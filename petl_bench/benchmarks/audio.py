"""Audio files to 16 kHz mono samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torchaudio.functional import resample

from petl_bench.errors import UserError

RATE = 16_000


def read_audio(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a file: samples ``[channels, samples]`` in [-1, 1] and the rate in Hz. Raises UserError, file named."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"{path} cannot be decoded: {error}") from error
    return samples.T, rate


def to_mono(samples: npt.NDArray[np.float32], rate: int) -> torch.Tensor:
    """``[channels, samples]`` at ``rate`` Hz -> ``[samples]`` at 16 kHz: channels averaged, torchaudio's resampler."""
    mono = torch.from_numpy(np.ascontiguousarray(samples)).mean(dim=0)
    return mono if rate == RATE else resample(mono, rate, RATE)
