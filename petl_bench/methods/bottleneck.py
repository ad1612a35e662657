"""Bottleneck adapter: a two-layer perceptron beside a sublayer (Houlsby et al., arXiv 1902.00751)."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import nn

from petl_bench.backbones.sites import Geometry
from petl_bench.methods.adapter import AdapterConfig, AdapterMethod


class BottleneckAdapter(nn.Module):
    """Linear d->r, GELU, linear r->d: ``[..., d] -> [..., d]``."""

    def __init__(self, hidden_size: int, channels: int) -> None:
        super().__init__()
        self.down = nn.Linear(hidden_size, channels)
        self.up = nn.Linear(channels, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up: torch.Tensor = self.up(nn.functional.gelu(self.down(x)))
        return up


def new_bottleneck(hidden_size: int, channels: int, *, released: bool) -> BottleneckAdapter:
    """An adapter that starts as nothing, or with both sides N(0, 0.02) as the released code of arXiv 2312.03694."""
    adapter = BottleneckAdapter(hidden_size, channels)
    if released:
        for linear in (adapter.down, adapter.up):
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
    else:
        nn.init.zeros_(adapter.up.weight)
        nn.init.zeros_(adapter.up.bias)
    return adapter


def bottleneck_parameters(hidden_size: int, channels: int) -> int:
    """Weights and biases of both linear maps."""
    return 2 * hidden_size * channels + channels + hidden_size


class Bottleneck(AdapterMethod):
    """By default parallel to the FFN on its normalised input, as arXiv 2312.03694 compares it (Pfeiffer, parallel)."""

    class Config(AdapterConfig):
        reduction_rate: PositiveInt = 64

    config: Config
    literature_channels = 12

    def build(self, geometry: Geometry) -> nn.Module:
        released = self.switches.init == "released"
        return new_bottleneck(geometry.hidden_size, self.channels(geometry), released=released)

    def adapter_parameters(self, geometry: Geometry) -> int:
        return bottleneck_parameters(geometry.hidden_size, self.channels(geometry))

    def starts_as_identity(self) -> bool:
        return self.switches.init != "released" and self.config.placement.keeps_identity
