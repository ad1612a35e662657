"""What a model is given in a run: batches of normalised features and their targets, on the device."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from petl_bench.benchmarks.splits import Split
from petl_bench.cards import AUDIOSET_MEAN, AUDIOSET_STD
from petl_bench.runspec import RunSpec
from petl_bench.workbench import Workbench


class Inputs:
    """Batches of normalised features on the device."""

    def __init__(self, spec: RunSpec, workbench: Workbench, split: Split) -> None:
        self.table = workbench.features(spec.data.features)
        self.targets = torch.from_numpy(workbench.dataset.targets)
        self.clips = workbench.clip_numbers()
        self.device = workbench.device
        self.mean, std = normalisation(spec, workbench, split)
        self.scale = 2 * std

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Features ``[batch, frames, bins]``, as AST's extractor normalises them, and targets ``[batch]``."""
        features = torch.from_numpy(self.table[indices]).to(self.device)
        return (features - self.mean) / self.scale, self.targets[indices].to(self.device)


def normalisation(spec: RunSpec, workbench: Workbench, split: Split) -> tuple[float, float]:
    """Mean and standard deviation of log-mel values, by the switch of that name."""
    features = spec.data.features
    if spec.switches.normalisation == "audioset":
        return AUDIOSET_MEAN, AUDIOSET_STD
    if spec.switches.normalisation == "training":
        return workbench.statistics(features, spec.fold, split.train)
    return features.mean, features.std
