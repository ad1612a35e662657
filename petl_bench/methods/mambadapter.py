"""MambAdapter: Mamba blocks in one bottleneck that all layers share (Hussain Ali et al., arXiv 2606.15638)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import nn

from petl_bench.backbones.sites import Geometry
from petl_bench.methods.adapter import AdapterConfig, AdapterMethod
from petl_bench.methods.bottleneck import BottleneckAdapter, bottleneck_parameters, new_bottleneck
from petl_bench.methods.mamba import Mamba, mamba_parameters

FIRST_SCALE = 0.1


class MambaAdapter(nn.Module):
    """Linear d->r, Mamba over the tokens, dropout, linear r->d, times a trained number: ``[batch, tokens, d]`` -> same.

    The linear maps are ``shared`` with other adapters. Mamba only looks back: padding behind a clip reaches none of its
    tokens.
    """

    def __init__(self, shared: BottleneckAdapter, mamba: Mamba, dropout: float) -> None:
        super().__init__()
        self.down, self.up = shared.down, shared.up
        self.mamba = mamba
        self.dropout = nn.Dropout(dropout)
        self.scale = nn.Parameter(torch.tensor(FIRST_SCALE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up: torch.Tensor = self.up(self.dropout(self.mamba(self.down(x))))
        return up * self.scale


class Mambadapter(AdapterMethod):
    """By default parallel to the FFN on its normalised input, 12 of 768 channels.

    ``up`` starts at zero, Mamba as its own authors have it. The code released with arXiv 2606.15638 makes all of
    Mamba's matrices 50 times smaller than Xavier's, where hardly a gradient reaches them: that is not done here.
    """

    class Config(AdapterConfig):
        reduction_rate: PositiveInt = 64
        states: Annotated[int, Field(ge=1, le=1024)] = 16
        kernel_size: Annotated[int, Field(ge=1, le=4096)] = 4
        expand: Annotated[int, Field(ge=1, le=64)] = 2
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    config: Config
    literature_channels = 12
    fixed_start = True  # the decays 1 ... states

    def build(self, geometry: Geometry) -> nn.Module:
        return self.builder(geometry)()

    def builder(self, geometry: Geometry) -> Callable[[], nn.Module]:
        config, channels = self.config, self.channels(geometry)
        shared = new_bottleneck(geometry.hidden_size, channels, released=False)

        def adapter() -> nn.Module:
            mamba = Mamba(channels, config.states, config.kernel_size, config.expand)
            return MambaAdapter(shared, mamba, config.dropout)

        return adapter

    def adapter_parameters(self, geometry: Geometry) -> int:
        config = self.config
        return mamba_parameters(self.channels(geometry), config.states, config.kernel_size, config.expand) + 1

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        shared = bottleneck_parameters(geometry.hidden_size, self.channels(geometry))
        return super().expected_parameters(geometry, total) + shared

    def starts_as_identity(self) -> bool:
        return self.config.placement.keeps_identity
