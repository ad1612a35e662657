"""ConvPass: a bottleneck with a convolution over the grid of patches (Jie and Deng, arXiv 2207.07039)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import nn

from petl_bench.backbones.sites import Geometry
from petl_bench.methods.adapter import AdapterConfig, AdapterMethod
from petl_bench.methods.bottleneck import bottleneck_parameters
from petl_bench.methods.grid import as_grid, as_tokens, frequency_rows

KERNEL_SIZE = 3


class ConvpassAdapter(nn.Module):
    """Linear d->r, GELU, 3x3 convolution of the patches, GELU, dropout, linear r->d, times s.

    ``[batch, tokens, d] -> [batch, tokens, d]``: the first ``special`` tokens are images of one pixel each, the others
    a grid of ``rows`` frequency rows. ``down`` starts as Xavier's uniform, the convolution as identity, ``up`` at zero.
    """

    def __init__(self, hidden_size: int, channels: int, rows: int, special: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.rows, self.special, self.scale = rows, special, scale
        self.down = nn.Linear(hidden_size, channels)
        self.convolution = nn.Conv2d(channels, channels, KERNEL_SIZE, padding="same")
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(channels, hidden_size)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.dirac_(self.convolution.weight)
        for tensor in (self.down.bias, self.convolution.bias, self.up.weight, self.up.bias):
            assert tensor is not None
            nn.init.zeros_(tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.gelu(self.down(x))
        special, patches = hidden[:, : self.special], hidden[:, self.special :]
        middle = KERNEL_SIZE // 2  # all that a kernel sees of a single pixel
        pixels = nn.functional.linear(special, self.convolution.weight[:, :, middle, middle], self.convolution.bias)
        convolved = as_tokens(self.convolution(as_grid(patches, self.rows)))
        up: torch.Tensor = self.up(self.dropout(nn.functional.gelu(torch.cat([pixels, convolved], dim=1))))
        return up * self.scale


class Convpass(AdapterMethod):
    """By default parallel to the FFN on its normalised input, 8 of 768 channels; its card has both sublayers.

    The code released with arXiv 2312.03694 computes a convolution and discards it; this one is used.
    """

    class Config(AdapterConfig):
        reduction_rate: PositiveInt = 96
        scale: PositiveFloat = 1.0
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    config: Config
    literature_channels = 8
    fixed_start = True  # the convolution's identity

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        frequency_rows(geometry)

    def build(self, geometry: Geometry) -> nn.Module:
        return ConvpassAdapter(
            geometry.hidden_size,
            self.channels(geometry),
            frequency_rows(geometry),
            len(geometry.special_tokens),
            self.config.scale,
            self.config.dropout,
        )

    def adapter_parameters(self, geometry: Geometry) -> int:
        channels = self.channels(geometry)
        convolution = channels * (channels * KERNEL_SIZE**2 + 1)
        return bottleneck_parameters(geometry.hidden_size, channels) + convolution

    def starts_as_identity(self) -> bool:
        return self.config.placement.keeps_identity
