"""Conformer adapter: the Conformer's convolution module in a bottleneck beside the FFN (arXiv 2312.03694, eq. 2-3)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import nn

from petl_bench.backbones.base import Backbone, Geometry, Site
from petl_bench.methods.base import Method, MethodConfig


class ConformerAdapter(nn.Module):
    """Pointwise d->2r, GLU, depthwise convolution over tokens, BatchNorm, SiLU, pointwise r->d.

    ``[batch, tokens, d] -> [batch, tokens, d]``. The depthwise convolution keeps the number of tokens for even
    kernels too (one more zero on the right). Pointwise convolutions are linear maps of the last axis; all modules keep
    torch's own initialisation, so the adapter does not start as zero.
    """

    def __init__(self, hidden_size: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.down = nn.Linear(hidden_size, 2 * channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, groups=channels)
        self.margins = ((kernel_size - 1) // 2, kernel_size // 2)
        self.norm = nn.BatchNorm1d(channels)
        self.up = nn.Linear(channels, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gated = nn.functional.glu(self.down(x), dim=-1).transpose(1, 2)  # [batch, channels, tokens]
        padded = nn.functional.pad(gated, self.margins)
        local = nn.functional.silu(self.norm(self.depthwise(padded)))
        up: torch.Tensor = self.up(local.transpose(1, 2))
        return up


class Conformer(Method):
    """One adapter per layer, parallel to the FFN on its normalised input, no inner residual (Pfeiffer, parallel).

    Bottleneck r = floor(d / reduction_rate). The norm before each FFN and the final norm train too.
    """

    class Config(MethodConfig):
        reduction_rate: PositiveInt = 96
        kernel_size: Annotated[int, Field(gt=0, le=4096)] = 8

    config: Config

    def channels(self, geometry: Geometry) -> int:
        return geometry.hidden_size // self.config.reduction_rate

    def check(self, geometry: Geometry) -> None:
        if self.channels(geometry) == 0:
            raise ValueError(
                f"reduction_rate = {self.config.reduction_rate} leaves no channel of hidden size "
                f"{geometry.hidden_size}: at most {geometry.hidden_size}"
            )

    def remark(self, geometry: Geometry) -> str:
        if self.channels(geometry) >= 4:
            return ""
        return (
            f"reduction_rate = {self.config.reduction_rate} leaves {self.channels(geometry)} of {geometry.hidden_size} "
            f"channels; reduction_rate = {max(1, geometry.hidden_size // 8)} gives the 8 of the literature"
        )

    def attach(self, backbone: Backbone) -> None:
        backbone.unfreeze("norm_final", role="norm")
        for layer in range(backbone.geometry.layers):
            backbone.unfreeze("norm_ffn", layer, role="norm")
            self._adapt(backbone, backbone.site("ffn", layer))

    def _adapt(self, backbone: Backbone, site: Site) -> None:
        geometry = backbone.geometry
        adapter = ConformerAdapter(geometry.hidden_size, self.channels(geometry), self.config.kernel_size)
        backbone.add(f"{site}_conformer", adapter, role="adapter")
        site.on_output(lambda x, y: y + adapter(x))

    def published_surplus(self, geometry: Geometry) -> int:
        """The released adapter holds a LayerNorm whose result it discards: weight and bias, per layer."""
        return 2 * geometry.hidden_size * geometry.layers
