"""What models are given of clips, in a shared cache: waveforms, or log-mel as AST's extractor makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchaudio.compliance.kaldi import get_mel_banks

from petl_bench.benchmarks.audio import to_mono
from petl_bench.benchmarks.clip_facts import ClipFacts, read_facts, write_facts
from petl_bench.benchmarks.clip_table import ClipTable, made_once, open_table, writing_table
from petl_bench.benchmarks.dataset import Clip, Dataset, Layout
from petl_bench.canonical import digest
from petl_bench.cards import RATE, SHIFT, WINDOW
from petl_bench.errors import UserError
from petl_bench.locations import cache_folder, unwritable_cache
from petl_bench.runspec import ModelInput, WaveformFeatures

FFT = 512
"""The next power of two above a window."""
PREEMPHASIS = 0.97
FLOOR = torch.finfo(torch.float32).eps
CLIPS_AT_ONCE = 32
NUMERICS_VERSION = 1

Progress = Callable[[int, int], None]
Reader = Callable[[float], tuple[npt.NDArray[np.float32], int]]
"""From the seconds that are needed to samples ``[channels, samples]`` and their rate."""


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


def framed(waveforms: Tensor, features: ModelInput) -> Tensor:
    """Features of clips of one length, ``[batch, samples] -> [batch, *features.shape]``: cut, or padded.

    Log-mel is padded with 0, a waveform with NaN.
    """
    if isinstance(features, WaveformFeatures):
        missing = features.shape[0] - waveforms.shape[1]
        return torch.nn.functional.pad(waveforms, (0, missing), value=torch.nan)
    mel = log_mel(waveforms, features.bins)[:, : features.frames]
    return torch.nn.functional.pad(mel, (0, 0, 0, features.frames - mel.shape[1]))


def normalised(values: Tensor, mean: float, scale: float) -> Tensor:
    """What a model is given of features."""
    return (values - mean) / scale


def features_of(dataset: Dataset, features: ModelInput, progress: Progress | None = None) -> ClipTable:
    """Features of every clip, ``[clips, *features.shape]``, memory-mapped from the shared cache; made if absent.

    Of several processes that need them at once, one makes them and the others wait.

    Not normalised. Clips are cut to ``features.frames`` or padded: log-mel ``[frames, bins]`` with 0, before
    normalisation, as AST's extractor does; a waveform ``[samples]`` with NaN, so that its end can be told. Raises
    UserError where a clip cannot be read or is shorter than one window.
    """
    path = features_path(dataset, features)
    shape = (len(dataset.clips), *features.shape)

    def find() -> ClipTable | None:
        """None also where the facts beside the table are absent or damaged: both are made anew."""
        return None if read_facts(path.with_suffix(".json")) is None else open_table(path, shape)

    return made_once(path, find, lambda: _extract(dataset, features, path, progress or (lambda done, total: None)))


def notes_on_clips(dataset: Dataset, features: ModelInput) -> list[str]:
    """What showed when the clips' features were made, for under a table; nothing where they are not in the cache."""
    facts = read_facts(features_path(dataset, features).with_suffix(".json"))
    return [] if facts is None else facts.notes(dataset.name, features.frames)


@dataclass(frozen=True)
class ReadClip:
    """A clip as it is used: samples at 16 kHz, ``[samples]``, no more than the features hold; and how it was found."""

    waveform: Tensor
    rate: int
    channels: int
    silent: bool
    """All samples that are used are equal."""
    longer: bool
    """More than one frame is left out."""
    shorter: bool
    """More frames are padded than the two that whole windows leave of a clip of just that length."""


def read_clip(layout: Layout, clip: Clip, frames: int) -> ReadClip:
    """Read what ``frames`` frames hold of a clip. Raises UserError where that is not even one window."""
    return read_part(f"clip {clip.id}", partial(layout.read, clip), frames)


def read_part(name: str, read: Reader, frames: int) -> ReadClip:
    """Read what ``frames`` frames hold of a recording. Raises UserError, with its name: not even one window."""
    needed = WINDOW + SHIFT * (frames - 1)
    samples, rate = read(needed / RATE)
    waveform = to_mono(samples, rate)
    if len(waveform) < WINDOW:
        raise UserError(
            f"{name} lasts {1000 * len(waveform) / RATE:.0f} ms: at least one window of "
            f"{1000 * WINDOW // RATE} ms is needed"
        )
    used = samples[:, : -(-needed * rate // RATE)]  # before the resampler: it rings at the ends of a constant
    silent = bool((used == used[:, :1]).all()) or bool((waveform[:needed] == waveform[0]).all())
    longer, shorter = len(waveform) >= needed + 2 * SHIFT, len(waveform) < needed - 2 * SHIFT
    return ReadClip(waveform[:needed], rate, len(samples), silent, longer, shorter)


def features_path(dataset: Dataset, features: ModelInput) -> Path:
    """The file in the cache that holds them."""
    kind = features.input if isinstance(features, WaveformFeatures) else features.bins
    key = digest([NUMERICS_VERSION, dataset.fingerprint, features.frames, kind])
    return cache_folder() / "features" / f"{key}.npy"


def _extract(dataset: Dataset, features: ModelInput, path: Path, progress: Progress) -> None:
    shape = (len(dataset.clips), *features.shape)
    done, facts = 0, ClipFacts()
    try:
        with writing_table(path, shape) as writer:
            for batch in _equal_lengths(dataset, features):
                writer.add(framed(torch.stack([read.waveform for _, read in batch]), features).numpy())
                for clip, read in batch:
                    facts = facts.and_of(clip.id, silent=read.silent, longer=read.longer)
                done += len(batch)
                progress(done, shape[0])
            write_facts(path.with_suffix(".json"), facts)
    except OSError as error:
        raise unwritable_cache(path.parent, error) from error


def _equal_lengths(dataset: Dataset, features: ModelInput) -> Iterator[list[tuple[Clip, ReadClip]]]:
    """All clips in order, in runs of one length and at most CLIPS_AT_ONCE."""
    batch: list[tuple[Clip, ReadClip]] = []
    for clip in dataset.clips:
        try:
            read = read_clip(dataset.layout, clip, features.frames)
        except UserError as error:
            raise UserError(f"{error}; `petl-bench data verify {dataset.name}` names every such clip") from error
        if batch and (len(batch) == CLIPS_AT_ONCE or len(batch[0][1].waveform) != len(read.waveform)):
            yield batch
            batch = []
        batch.append((clip, read))
    yield batch


@cache
def _mel_banks(bins: int) -> Tensor:
    """Mel filters ``[FFT / 2 + 1, bins]`` from 20 Hz to 8 kHz; the last frequency has weight 0, as in Kaldi."""
    banks, _ = get_mel_banks(bins, FFT, RATE, 20.0, 0.0, 100.0, -500.0, 1.0)
    return torch.nn.functional.pad(banks, (0, 1)).T
