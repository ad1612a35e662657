"""Prompt tuning: trained tokens beside those of a clip, at the input or anew in every layer (VPT, arXiv 2203.12119)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry
from petl_bench.methods.base import Method, MethodConfig


class Tokens(nn.Module):
    """``count`` trained tokens, uniform in +-sqrt(6 / (token fan-in + d)), as ``[1, count, d]``.

    This is VPT's Xavier bound, in which a token's fan-in is that of the map that makes it from its piece of sound.
    """

    def __init__(self, count: int, geometry: Geometry) -> None:
        super().__init__()
        bound = math.sqrt(6 / (geometry.token_fan_in + geometry.hidden_size))
        self.values = nn.Parameter(torch.empty(1, count, geometry.hidden_size).uniform_(-bound, bound))

    def for_batch_of(self, x: Tensor) -> Tensor:
        """``[batch, count, d]`` in the batch's own precision."""
        return self.values.expand(len(x), -1, -1).to(x.dtype)


class Prompt(Method):
    """``deep``: the prompts are replaced by new ones before every layer after the first; else they pass through all.

    Prompts stand after the backbone's special tokens; with ``distillation_token = dropped`` in place of that one.
    """

    class Config(MethodConfig):
        tokens: Annotated[int, Field(gt=0, le=10_000)] = 25
        deep: bool = True

    config: Config

    def leading_tokens(self, geometry: Geometry) -> tuple[str, ...]:
        kept = geometry.special_tokens
        if self.switches.distillation_token == "dropped":
            kept = tuple(name for name in kept if name != "distillation")
        return (*kept, *["prompt"] * self.config.tokens)

    def attach(self, backbone: Backbone) -> None:
        geometry, count = backbone.geometry, self.config.tokens
        self.train_norm(backbone, "norm_final")
        kept = len(self.leading_tokens(geometry)) - count
        self._insert(backbone, 0, kept, skipped=len(geometry.special_tokens) - kept)
        for layer in range(1, geometry.layers if self.config.deep else 1):
            self._insert(backbone, layer, kept, skipped=count)

    def _insert(self, backbone: Backbone, layer: int, kept: int, skipped: int) -> None:
        """Put prompts before ``layer`` after the first ``kept`` tokens, in place of the ``skipped`` ones there."""
        prompts = Tokens(self.config.tokens, backbone.geometry)
        backbone.add(f"layer{layer}_prompts", prompts, "adapter")

        def inserted(x: Tensor) -> Tensor:
            return torch.cat([x[:, :kept], prompts.for_batch_of(x), x[:, kept + skipped :]], dim=1)

        backbone.site("layer_in", layer).on_input(inserted)

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        layers = geometry.layers if self.config.deep else 1
        return layers * self.config.tokens * geometry.hidden_size + self.norm_parameters(geometry, 1)
