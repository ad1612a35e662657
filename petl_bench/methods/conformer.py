"""Conformer adapter: the Conformer's convolution module as a bottleneck adapter (arXiv 2312.03694, eq. 2-3)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import nn

from petl_bench.backbones.sites import Geometry
from petl_bench.canonical import Introduced
from petl_bench.methods.adapter import AdapterConfig, AdapterMethod, MixesTokens

Norm = Literal["batch", "group", "layer", "none"]


class ConformerAdapter(MixesTokens, nn.Module):
    """Pointwise d->2r, GLU, depthwise convolution over tokens, norm, SiLU, pointwise r->d.

    ``[batch, tokens, d] -> [batch, tokens, d]``. The depthwise convolution keeps the number of tokens for even
    kernels too (one more zero on the right). Pointwise convolutions are linear maps of the last axis; all modules keep
    torch's own initialisation, so the adapter does not start as zero.
    """

    def __init__(self, hidden_size: int, channels: int, kernel_size: int, norm: Norm) -> None:
        super().__init__()
        self.down = nn.Linear(hidden_size, 2 * channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, groups=channels)
        self.margins = ((kernel_size - 1) // 2, kernel_size // 2)
        self.norm = build_norm(norm, channels)
        self.up = nn.Linear(channels, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.from_projected(self.down(x))

    def from_projected(self, projected: torch.Tensor) -> torch.Tensor:
        """All that follows the first projection, ``[batch, tokens, 2 r] -> [batch, tokens, d]``."""
        gated, used = nn.functional.glu(projected, dim=-1), self.padding.used_tokens(projected.shape[1])
        if used is not None:
            gated = gated.masked_fill(~used[..., None], 0.0)
        padded = nn.functional.pad(gated.transpose(1, 2), self.margins)  # [batch, channels, tokens]
        local = nn.functional.silu(self._normed(self.depthwise(padded), used))
        up: torch.Tensor = self.up(local.transpose(1, 2))
        return up

    def _normed(self, x: torch.Tensor, used: torch.Tensor | None) -> torch.Tensor:
        """``[batch, channels, tokens]``; statistics over tokens leave those of padding out."""
        if used is None or isinstance(self.norm, TokenNorm | nn.Identity):
            normed: torch.Tensor = self.norm(x)
            return normed
        found = torch.zeros_like(x)
        if isinstance(self.norm, nn.BatchNorm1d):
            found.transpose(1, 2)[used] = self.norm(x.transpose(1, 2)[used]).to(x.dtype)
        else:
            for clip, its in enumerate(used):
                found[clip, :, its] = self.norm(x[clip : clip + 1, :, its])[0].to(x.dtype)
        return found


class TokenNorm(nn.LayerNorm):
    """LayerNorm over the channels of each token of ``[batch, channels, tokens]``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def build_norm(norm: Norm, channels: int) -> nn.Module:
    """batch: over clips and tokens. group: per clip, over tokens and the channels of a group. layer: per token, over
    channels. none: nothing."""
    if norm == "batch":
        return nn.BatchNorm1d(channels)
    if norm == "group":
        return nn.GroupNorm(group_count(channels), channels)
    return TokenNorm(channels) if norm == "layer" else nn.Identity()


def group_count(channels: int) -> int:
    """The largest divisor of ``channels`` up to 4."""
    return max(number for number in (1, 2, 3, 4) if channels % number == 0)


class Conformer(AdapterMethod):
    """By default parallel to the FFN on its normalised input, without a residual of its own (Pfeiffer, parallel)."""

    class Config(AdapterConfig):
        reduction_rate: PositiveInt = 96
        kernel_size: Annotated[int, Field(gt=0, le=4096)] = 8
        norm: Annotated[Norm, Introduced("batch")] = "batch"

    config: Config
    literature_channels = 8

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if self.config.norm == "layer" and self.channels(geometry) < 3:
            raise ValueError(
                "norm = 'layer' over fewer than 3 channels leaves no more than signs; lower reduction_rate"
            )

    def build(self, geometry: Geometry) -> nn.Module:
        return self.started(
            ConformerAdapter(geometry.hidden_size, self.channels(geometry), self.config.kernel_size, self.config.norm)
        )

    def started(self, adapter: ConformerAdapter) -> ConformerAdapter:
        """A new adapter as the switch ``init`` wants it."""
        if self.switches.init == "zero":
            nn.init.zeros_(adapter.up.weight)
            nn.init.zeros_(adapter.up.bias)
        return adapter

    def adapter_parameters(self, geometry: Geometry) -> int:
        width, channels = geometry.hidden_size, self.channels(geometry)
        down, depthwise, up = (
            2 * channels * (width + 1),
            channels * (self.config.kernel_size + 1),
            width * (channels + 1),
        )
        return down + depthwise + up + (0 if self.config.norm == "none" else 2 * channels)

    def redundant_parameters(self, geometry: Geometry) -> tuple[str, ...]:
        """A constant per channel before a norm that takes each channel's mean away."""
        channels = self.channels(geometry)
        alone = self.config.norm == "group" and group_count(channels) == channels
        return ("depthwise.bias",) if self.config.norm == "batch" or alone else ()

    def starts_as_identity(self) -> bool:
        return self.switches.init == "zero" and self.config.placement.keeps_identity

    def published_surplus(self, geometry: Geometry) -> int:
        """The released adapter holds a LayerNorm whose result it discards: weight and bias of each."""
        return 2 * geometry.hidden_size * self._sites(geometry)
