"""The steps that are timed: of training, in its parts, as ``training.run`` makes them, and of inference."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from petl_bench.backbones.base import Backbone
from petl_bench.benchmarks.splits import Split
from petl_bench.profiling.profiles import StepSplit
from petl_bench.runspec import RunSpec
from petl_bench.training.inputs import Inputs, precision_of
from petl_bench.training.progress import Progress
from petl_bench.training.run import batches_per_epoch, micro_batches, order_of


class Steps:
    """Steps of a run with ``clips`` clips each, on its training clips in the order of the first epoch, over and over.

    The method is attached. Mode and random streams are the caller's. Every clip goes the whole way, though a run may
    keep what untouched layers make of it: that is told apart from what a method costs.
    """

    def __init__(self, spec: RunSpec, backbone: Backbone, inputs: Inputs, split: Split, clips: int) -> None:
        self.spec = spec
        self.backbone = backbone
        self.inputs = inputs
        self.clips = clips
        self.order = order_of(spec, split, epoch=1)
        self.masks = spec.streams.derive("augmentation", 1)
        self.progress = Progress(spec, backbone, batches_per_epoch(spec, split))

    def train(self, number: int) -> dict[str, float]:
        """Make training step ``number`` (from 0): seconds by part."""
        spec, inputs = self.spec, self.inputs
        batch, watch = self.batch(number), Stopwatch(inputs.device)
        self.progress.optimizer.zero_grad(set_to_none=True)
        watch.lap("optimizer")
        for indices in micro_batches(batch, spec.training.micro_batch_size):
            features, targets = inputs.features(indices, self.masks), inputs.targets_of(indices)
            watch.lap("data")
            with precision_of(spec, inputs.device):
                logits = self.backbone(features)
            loss = nn.functional.cross_entropy(logits.float(), targets)
            watch.lap("forward")
            (loss * (len(indices) / len(batch))).backward()  # type: ignore[no-untyped-call]
            watch.lap("backward")
        self.progress.optimizer.step()
        self.progress.schedule.step()
        watch.lap("optimizer")
        return watch.seconds

    @torch.inference_mode()
    def infer(self, number: int) -> float:
        """Take batch ``number`` to logits on the CPU: seconds, those for its features among them."""
        watch = Stopwatch(self.inputs.device)
        features = self.inputs.features(self.batch(number))
        watch.lap("data")
        with precision_of(self.spec, self.inputs.device):
            logits = self.backbone(features)
        logits.float().cpu()
        watch.lap("forward")
        return sum(watch.seconds.values())

    def batch(self, number: int) -> npt.NDArray[np.int64]:
        """Indices of the clips of a batch, ``[clips]``."""
        start = number * self.clips
        indices: npt.NDArray[np.int64] = self.order.take(range(start, start + self.clips), mode="wrap")
        return indices


class Stopwatch:
    """Adds up the seconds of every part; a part ends when the device has done what it was told."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = dict.fromkeys(StepSplit.model_fields, 0.0)
        self._last = self._now()

    def lap(self, part: str) -> None:
        """Say to which part the time since the last lap belongs."""
        now = self._now()
        self.seconds[part] += now - self._last
        self._last = now

    def _now(self) -> float:
        synchronise(self.device)
        return time.perf_counter()


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
