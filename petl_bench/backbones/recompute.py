"""Gradient checkpointing: activations are computed again in the backward pass (Chen et al., arXiv 1604.06174)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from petl_bench.backbones.base import Backbone


class RecomputedLayer:
    """A layer whose forward pass keeps only its input; ``remove`` makes it as it was."""

    def __init__(self, backbone: Backbone, layer: nn.Module) -> None:
        self.backbone = backbone
        self.layer = layer
        self.kept = layer.forward
        layer.forward = self.forward

    def remove(self) -> None:
        del self.layer.forward

    def forward(self, *arguments: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.kept(*arguments, **options)
        return checkpoint(self.kept, *arguments, use_reentrant=False, context_fn=self._contexts, **options)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._buffers_kept()

    @contextmanager
    def _buffers_kept(self) -> Iterator[None]:
        """The second forward pass must not count: BatchNorm would learn its running statistics twice."""
        buffers = [*self.layer.buffers(), *self.backbone.attachments.buffers()]
        before = [buffer.clone() for buffer in buffers]
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, copy in zip(buffers, before, strict=True):
                    buffer.copy_(copy)


def recompute_layers(backbone: Backbone) -> None:
    """Let every layer be recomputed until the backbone is detached. Losses and gradients stay the same bit for bit."""
    for layer in range(backbone.geometry.layers):
        backbone.until_detached(RecomputedLayer(backbone, backbone.module_at("layer_in", layer)))
