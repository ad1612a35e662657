"""What a trained model says of audio files, each on its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from petl_bench.adapters.model import TrainedModel
from petl_bench.benchmarks.audio import read_audio
from petl_bench.benchmarks.features import CLIPS_AT_ONCE, framed, read_part
from petl_bench.cards import RATE, SHIFT
from petl_bench.errors import UserError


@dataclass(frozen=True)
class FilePrediction:
    """Logits ``[classes]`` float32 for a file; ``notes``: what is to be known of it."""

    file: str
    class_names: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    notes: tuple[str, ...] = ()

    def top(self, count: int) -> list[tuple[str, float]]:
        """The most probable classes with their probabilities (softmax), the first first; ties by class number."""
        shifted = np.exp(self.logits.astype(np.float64) - self.logits.max())
        probabilities = shifted / shifted.sum()
        order = np.argsort(-probabilities, kind="stable")[:count]
        return [(self.class_names[index], float(probabilities[index])) for index in order]


@dataclass(frozen=True)
class Unread:
    """A file that could not be read, and why, in one line that names it."""

    file: str
    reason: str


def predict_files(model: TrainedModel, files: Sequence[str | Path]) -> Iterator[FilePrediction | Unread]:
    """What the model makes of every file, in their order: as the run was tested, whole model, run's own precision.

    Any format, rate and number of channels that training reads. A file that is longer than the model's input is cut to
    its beginning, which a note says.
    """
    for start in range(0, len(files), CLIPS_AT_ONCE):
        heard = [_hear(model, Path(file).expanduser()) for file in files[start : start + CLIPS_AT_ONCE]]
        inputs = [features for features, _ in heard if features is not None]
        logits = iter(model.logits(torch.cat(inputs)).numpy() if inputs else [])
        for file, (features, said) in zip(files[start : start + CLIPS_AT_ONCE], heard, strict=True):
            if features is None:
                yield Unread(str(file), said[0])
            else:
                yield FilePrediction(str(file), model.config.class_names, next(logits), said)


def _hear(model: TrainedModel, path: Path) -> tuple[Tensor | None, tuple[str, ...]]:
    """Features ``[1, ...]`` of a file, and notes; None, and the reason, where it cannot be read."""
    features = model.config.spec.data.features
    try:
        heard = read_part(str(path), partial(read_audio, path), features.frames)
    except UserError as error:
        return None, (str(error),)
    longer = f"longer than {features.frames * SHIFT / RATE:g} s: only its beginning was heard"
    silent = "the part that was heard is silent" if heard.longer else "silent"
    notes = [text for text, holds in ((longer, heard.longer), (silent, heard.silent)) if holds]
    return framed(heard.waveform[None], features), tuple(notes)
