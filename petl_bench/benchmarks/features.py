"""Log-mel features: Kaldi's filter bank as torchaudio and AST's extractor compute it, batched, and a shared cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchaudio.compliance.kaldi import get_mel_banks

from petl_bench.benchmarks.audio import RATE, to_mono
from petl_bench.benchmarks.dataset import Dataset
from petl_bench.canonical import digest
from petl_bench.cards import Features
from petl_bench.errors import UserError
from petl_bench.files import whole_file
from petl_bench.locations import cache_folder, unwritable_cache

WINDOW, SHIFT, FFT = 400, 160, 512  # samples: 25 ms, 10 ms, the next power of two
PREEMPHASIS = 0.97
FLOOR = torch.finfo(torch.float32).eps
CLIPS_AT_ONCE = 32
NUMERICS_VERSION = 1

Progress = Callable[[int, int], None]


def log_mel(waveforms: Tensor, bins: int = 128) -> Tensor:
    """Kaldi log-mel filter bank of 16 kHz audio, ``[batch, samples] -> [batch, frames, bins]``.

    Equal to ``torchaudio.compliance.kaldi.fbank`` with a Hanning window and its other defaults, which is what
    transformers' ASTFeatureExtractor calls. Whole windows only: frames = 1 + (samples - 400) // 160.
    """
    frames = waveforms.unfold(-1, WINDOW, SHIFT)
    frames = frames - frames.mean(dim=-1, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    frames = (frames - PREEMPHASIS * before) * torch.hann_window(WINDOW, periodic=False, device=waveforms.device)
    power = torch.fft.rfft(frames, n=FFT).abs().pow(2.0)
    energies: Tensor = power @ _mel_banks(bins).to(power.device)
    return energies.clamp_min(FLOOR).log()


def features_of(dataset: Dataset, features: Features, progress: Progress | None = None) -> npt.NDArray[np.float32]:
    """Log-mel of every clip, ``[clips, frames, bins]``, memory-mapped from the shared cache; made if absent.

    Not normalised. Clips are cut to ``features.frames`` or padded with 0, before normalisation, as AST's extractor
    does. Raises UserError where a clip cannot be read or is shorter than one window.
    """
    key = digest([NUMERICS_VERSION, dataset.fingerprint, features.frames, features.bins])
    path = cache_folder() / "features" / f"{key}.npy"
    shape = (len(dataset.clips), features.frames, features.bins)
    table = _mapped(path, shape)
    if table is None:
        _extract(dataset, features, path, progress or (lambda done, total: None))
        table = _mapped(path, shape)
    assert table is not None
    return table


def _mapped(path: Path, shape: tuple[int, int, int]) -> npt.NDArray[np.float32] | None:
    """The cached table, or None where there is none or it is damaged: it can be made anew."""
    try:
        table: npt.NDArray[np.float32] = np.lib.format.open_memmap(path, mode="r")
    except Exception:  # numpy raises many things over a damaged header
        return None
    return table if table.shape == shape and table.dtype == np.float32 and table.flags.c_contiguous else None


def _extract(dataset: Dataset, features: Features, path: Path, progress: Progress) -> None:
    shape = (len(dataset.clips), features.frames, features.bins)
    done = 0
    try:
        with whole_file(path) as temporary, temporary.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for batch in _equal_lengths(dataset, features):
                mel = log_mel(torch.stack(batch), features.bins)[:, : features.frames]
                file.write(torch.nn.functional.pad(mel, (0, 0, 0, features.frames - mel.shape[1])).numpy().tobytes())
                done += len(batch)
                progress(done, shape[0])
    except OSError as error:
        raise unwritable_cache(path.parent, error) from error


def _equal_lengths(dataset: Dataset, features: Features) -> Iterator[list[Tensor]]:
    """Waveforms of all clips in order, in runs of one length and at most CLIPS_AT_ONCE."""
    needed = WINDOW + SHIFT * (features.frames - 1)
    batch: list[Tensor] = []
    for clip in dataset.clips:
        waveform = to_mono(*dataset.layout.read(clip))[:needed]
        if len(waveform) < WINDOW:
            raise UserError(
                f"{dataset.name}: clip {clip.id} lasts {1000 * len(waveform) / RATE:.0f} ms: at least one window of "
                f"{1000 * WINDOW // RATE} ms is needed"
            )
        if batch and (len(batch) == CLIPS_AT_ONCE or len(batch[0]) != len(waveform)):
            yield batch
            batch = []
        batch.append(waveform)
    yield batch


@cache
def _mel_banks(bins: int) -> Tensor:
    """Mel filters ``[FFT / 2 + 1, bins]`` from 20 Hz to 8 kHz; the last frequency has weight 0, as in Kaldi."""
    banks, _ = get_mel_banks(bins, FFT, RATE, 20.0, 0.0, 100.0, -500.0, 1.0)
    return torch.nn.functional.pad(banks, (0, 1)).T
