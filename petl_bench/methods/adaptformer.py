"""AdaptFormer: a scaled bottleneck beside the FFN (Chen et al., arXiv 2205.13535, equations 2 and 3)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import nn

from petl_bench.backbones.sites import Geometry
from petl_bench.methods.adapter import AdapterConfig, AdapterMethod
from petl_bench.methods.bottleneck import bottleneck_parameters

LayerNormAt = Literal["none", "in", "out"]


class AdaptFormerAdapter(nn.Module):
    """Linear d->r, ReLU, dropout, linear r->d, times the scale s: ``[..., d] -> [..., d]``.

    ``up`` starts at zero, ``down`` as Kaiming's uniform. ``layernorm``: a norm of its own before ``down``, or behind
    ``up``; there the scale comes after it, as the norm would take it away again.
    """

    def __init__(
        self, hidden_size: int, channels: int, scale: float, dropout: float, layernorm: LayerNormAt, *, learnable: bool
    ) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(hidden_size) if layernorm == "in" else nn.Identity()
        self.down = nn.Linear(hidden_size, channels)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(channels, hidden_size)
        self.norm_out = nn.LayerNorm(hidden_size) if layernorm == "out" else nn.Identity()
        self.scale = nn.Parameter(torch.tensor(scale)) if learnable else scale
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for tensor in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.dropout(nn.functional.relu(self.down(self.norm_in(x))))
        up: torch.Tensor = self.norm_out(self.up(hidden))
        return up * self.scale


class Adaptformer(AdapterMethod):
    """By default 64 of 768 channels and s = 0.1, parallel to the FFN on its normalised input."""

    class Config(AdapterConfig):
        reduction_rate: PositiveInt = 12
        scale: PositiveFloat = 0.1
        learnable_scale: bool = False
        layernorm: LayerNormAt = "none"
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    config: Config

    def build(self, geometry: Geometry) -> nn.Module:
        config = self.config
        return AdaptFormerAdapter(
            geometry.hidden_size,
            self.channels(geometry),
            config.scale,
            config.dropout,
            config.layernorm,
            learnable=config.learnable_scale,
        )

    def adapter_parameters(self, geometry: Geometry) -> int:
        norm = 0 if self.config.layernorm == "none" else 2 * geometry.hidden_size
        maps = bottleneck_parameters(geometry.hidden_size, self.channels(geometry))
        return maps + norm + self.config.learnable_scale

    def starts_as_identity(self) -> bool:
        return self.config.placement.keeps_identity
