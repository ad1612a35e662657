"""SpecAugment per clip, on the batch, on the device (Park et al., arXiv 1904.08779)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from petl_bench.cards import Augment
from petl_bench.seeds import derive_seed


def clip_numbers(ids: npt.NDArray[np.str_]) -> npt.NDArray[np.uint64]:
    """A 64-bit number of every clip id, so that a clip's masks depend on its id and not on its place in a batch."""
    return np.array([derive_seed("clip", str(name)) for name in ids], dtype=np.uint64)


def mask(features: Tensor, clips: npt.NDArray[np.uint64], stream: int, augment: Augment) -> Tensor:
    """Mask one frequency band and one stretch of time of every clip with 0, the mean after normalisation.

    ``features`` is ``[batch, frames, bins]``, ``clips`` the clips' numbers, ``stream`` the epoch's seed. Widths and
    places are drawn as torchaudio's FrequencyMasking and TimeMasking draw them: width uniform in [0, parameter),
    start uniform in what is left, both cut to whole bins or frames.
    """
    draws = torch.from_numpy(_uniforms(clips, stream, 4)).to(features.device)
    in_time = _band(draws[0], draws[1], augment.time_mask, features.shape[1])
    in_frequency = _band(draws[2], draws[3], augment.frequency_mask, features.shape[2])
    return features.masked_fill(in_time[:, :, None] | in_frequency[:, None, :], 0.0)


def _band(width: Tensor, place: Tensor, parameter: int, size: int) -> Tensor:
    """Boolean ``[batch, size]``, true inside the mask."""
    length = width * min(parameter, size)
    start = (place * (size - length)).floor()
    position = torch.arange(size, device=width.device)
    return (position >= start[:, None]) & (position < (start + length.floor())[:, None])


def _uniforms(clips: npt.NDArray[np.uint64], stream: int, count: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), ``[count, clips]``: a counter-based generator (SplitMix64, Steele et al. 2014)."""
    counter = np.arange(1, count + 1, dtype=np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
    state = _mixed(clips ^ _mixed(np.array([stream], dtype=np.uint64))) + counter
    return (_mixed(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
