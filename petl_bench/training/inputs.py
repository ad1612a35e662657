"""What a model is given in a run: batches of features, log-mel normalised, and their targets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from petl_bench.benchmarks.augment import mask
from petl_bench.benchmarks.features import normalised
from petl_bench.benchmarks.splits import Split
from petl_bench.cards import AUDIOSET_MEAN, AUDIOSET_STD
from petl_bench.runspec import RunSpec, WaveformFeatures
from petl_bench.workbench import Workbench


class Inputs:
    """Batches of features and targets on the device."""

    def __init__(self, spec: RunSpec, workbench: Workbench, split: Split) -> None:
        self.dataset = workbench.dataset
        self.table = workbench.features(spec.data.features)
        self.tables = workbench.tables
        self.targets = torch.from_numpy(workbench.dataset.targets)
        self.device = workbench.device
        self.mean, std = normalisation(spec, workbench, split)
        self.scale = 2 * std
        self._clips = workbench.clip_numbers()
        self._augment = spec.data.augment

    @property
    def augments(self) -> bool:
        """Whether training clips are masked, anew in every epoch."""
        return bool(self._augment.time_mask or self._augment.frequency_mask)

    def features(self, indices: npt.NDArray[np.int64], masks: int | None = None) -> Tensor:
        """``[batch, frames, bins]``, as AST's extractor normalises them, or waveforms ``[batch, samples]`` as they are.

        ``masks`` is the seed of an epoch's masks.
        """
        features = torch.from_numpy(self.table[indices]).to(self.device)
        features = normalised(features, self.mean, self.scale)
        if masks is not None and self.augments:
            features = mask(features, self._clips[indices], masks, self._augment)
        return features

    def targets_of(self, indices: npt.NDArray[np.int64]) -> Tensor:
        """``[batch]``."""
        return self.targets[indices].to(self.device)


def normalisation(spec: RunSpec, workbench: Workbench, split: Split) -> tuple[float, float]:
    """Mean and standard deviation of log-mel values, by the switch of that name; of waveforms, what changes nothing."""
    features = spec.data.features
    if isinstance(features, WaveformFeatures):
        return 0.0, 0.5
    if spec.switches.normalisation == "audioset":
        return AUDIOSET_MEAN, AUDIOSET_STD
    if spec.switches.normalisation == "training":
        return workbench.statistics(features, spec.fold, split.train)
    return features.mean, features.std


def precision_of(spec: RunSpec, device: torch.device) -> torch.autocast:
    """bf16 autocast where the run asks for it."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=spec.training.precision == "bf16")
