"""The model on clips of a data set: through the whole backbone, or from frozen states where these are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from petl_bench.backbones.base import Backbone
from petl_bench.runspec import RunSpec
from petl_bench.training.diagnosis import diagnose
from petl_bench.training.frozen import FrozenStates
from petl_bench.training.inputs import Inputs, precision_of
from petl_bench.training.memory import is_out_of_memory

EVALUATION_BATCH = 64


class NotFiniteError(RuntimeError):
    """A loss that is NaN or infinite, with a diagnosis."""


class Model:
    """A backbone with its method, and what it is given. Without ``frozen`` states every clip goes the whole way."""

    def __init__(self, spec: RunSpec, backbone: Backbone, inputs: Inputs, frozen: FrozenStates | None = None) -> None:
        self.spec = spec
        self.backbone = backbone
        self.inputs = inputs
        self.frozen = frozen

    def logits(self, clips: npt.NDArray[np.int64], masks: int | None = None) -> Tensor:
        """``[batch, classes]`` float32; ``masks`` is the seed of an epoch's masks, None where nothing is masked."""
        with precision_of(self.spec, self.inputs.device):
            if self.frozen is None or (masks is not None and self.inputs.augments):
                logits: Tensor = self.backbone(self.inputs.features(clips, masks))
            else:
                states = torch.from_numpy(self.frozen.table[clips]).to(self.inputs.device)
                logits = self.frozen.logits(self.backbone, states)
        return logits.float()

    def diagnosis(self, clips: npt.NDArray[np.int64], updates: int, masks: int | None = None) -> str:
        """Why the logits of clips are not finite after so many updates."""
        with precision_of(self.spec, self.inputs.device):
            return diagnose(self.backbone, self.inputs.features(clips, masks), updates)

    @torch.inference_mode()
    def predict(
        self, clips: npt.NDArray[np.int64], updates: int, look: Callable[[], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Logits ``[clips, classes]`` in eval mode, after so many updates; ``look`` is called after every batch.

        Where memory runs out, fewer clips are taken at a time: in eval mode no clip depends on another. Raises
        NotFiniteError.
        """
        self.backbone.eval()
        parts, start, size = [], 0, EVALUATION_BATCH
        while start < len(clips):
            batch = clips[start : start + size]
            try:
                logits = self.logits(batch)
                if not torch.isfinite(logits).all():
                    raise NotFiniteError(f"logits are not finite in evaluation: {self.diagnosis(batch, updates)}")
            except Exception as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
                size //= 2
                continue
            parts.append(logits.cpu())
            if look is not None:
                look()
            start += size
        together: npt.NDArray[np.float32] = torch.cat(parts).numpy()
        return together
