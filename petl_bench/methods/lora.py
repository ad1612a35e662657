"""LoRA: a trained low-rank update beside frozen linear maps (Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from torch import nn

from petl_bench.backbones.base import Backbone, Geometry, Site
from petl_bench.methods.base import Method, MethodConfig

Target = Literal["q", "k", "v", "o", "fc1", "fc2"]


class LowRankUpdate(nn.Module):
    """x -> scale * up(down(x)), rank ``rank``, with ``up`` zero at the start: ``[..., in] -> [..., out]``."""

    def __init__(self, in_features: int, out_features: int, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, in_features))
        self.up = nn.Parameter(torch.zeros(out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * nn.functional.linear(nn.functional.linear(x, self.down), self.up)


class Lora(Method):
    """Scale = alpha / rank. The final norm trains beside the updates, as in arXiv 2312.03694."""

    class Config(MethodConfig):
        rank: PositiveInt = 6
        alpha: PositiveFloat = 16.0
        targets: Annotated[tuple[Target, ...], Field(min_length=1)] = ("q", "v")

        @field_validator("targets")
        @classmethod
        def _in_model_order(cls, targets: tuple[Target, ...]) -> tuple[str, ...]:
            return tuple(name for name in ("q", "k", "v", "o", "fc1", "fc2") if name in targets)

    config: Config

    def check(self, geometry: Geometry) -> None:
        if self.config.rank > geometry.hidden_size:
            raise ValueError(f"rank = {self.config.rank}: at most the hidden size, {geometry.hidden_size}")

    def attach(self, backbone: Backbone) -> None:
        backbone.unfreeze("norm_final", role="norm")
        for layer in range(backbone.geometry.layers):
            for target in self.config.targets:
                self._update(backbone, backbone.site(target, layer))

    def _update(self, backbone: Backbone, site: Site) -> None:
        rank = self.config.rank
        update = LowRankUpdate(site.in_features, site.out_features, rank, self.config.alpha / rank)
        backbone.add(f"{site}_lora", update, role="adapter")
        site.on_output(lambda x, y: y + update(x))
