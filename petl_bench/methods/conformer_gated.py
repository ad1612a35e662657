"""Gated Conformer adapter: a gate weighs the adapter's branch against the frozen sublayer's, by the input."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry, Site
from petl_bench.methods.conformer import Conformer, ConformerAdapter, Norm

Granularity = Literal["token", "clip"]


class GatedConformerAdapter(ConformerAdapter):
    """A Conformer adapter A with a gate g = 2 sigmoid(w p + b) on its first projection p of the layer's input.

    The site's output y becomes (2 - g) y + g A(x); w and b start at 0, so that this starts as y + A(x). With "clip",
    p is its mean over tokens, and a clip has one g; with "token" every token has its own. ``gate`` holds the mean g of
    every clip of the last forward pass in evaluation, ``[batch]``.
    """

    def __init__(self, hidden_size: int, channels: int, kernel_size: int, norm: Norm, granularity: Granularity) -> None:
        super().__init__(hidden_size, channels, kernel_size, norm)
        self.granularity = granularity
        self.weigh = nn.Linear(2 * channels, 1, device="meta").to_empty(device="cpu")  # draws nothing
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)
        self.gate = torch.empty(0)

    def mixed(self, x: Tensor, y: Tensor) -> Tensor:
        """The weighted sum of the site's output and the adapter's, all ``[batch, tokens, d]``."""
        projected = self.down(x)
        signal = self._mean(projected) if self.granularity == "clip" else projected
        gate = 2 * torch.sigmoid(self.weigh(signal))
        if not self.training:
            self.gate = self._mean(gate.detach().expand(*x.shape[:2], 1)).flatten()
        return (2 - gate) * y + gate * self.from_projected(projected)

    def _mean(self, x: Tensor) -> Tensor:
        """Over the tokens that are no padding, ``[batch, tokens, n] -> [batch, 1, n]``."""
        used = self.padding.used_tokens(x.shape[1])
        if used is None:
            return x.mean(dim=1, keepdim=True)
        return (x * used[..., None]).sum(dim=1, keepdim=True) / used.sum(dim=1)[:, None, None]


class ConformerGated(Conformer):
    """The Conformer adapter with a gate in place of the plain sum, for adapters parallel to a sublayer.

    gate: "token" or "clip", what one gate is for. The gate reads the adapter's own first projection, so that it adds
    no more than 2 r + 1 parameters to an adapter.
    """

    class Config(Conformer.Config):
        gate: Granularity = "token"

    config: Config
    _adapters: dict[str, GatedConformerAdapter]

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        placement = self.config.placement
        if (placement.form, placement.position, placement.residual) != ("parallel", "before", False):
            raise ValueError(
                "a gate weighs two parallel branches: placement.form = 'parallel', placement.position = 'before', "
                "placement.residual = false"
            )

    def attach(self, backbone: Backbone) -> None:
        self._adapters = {}
        super().attach(backbone)

    def build(self, geometry: Geometry) -> nn.Module:
        config, channels = self.config, self.channels(geometry)
        return self.started(
            GatedConformerAdapter(geometry.hidden_size, channels, config.kernel_size, config.norm, config.gate)
        )

    def connect(self, site: Site, adapter: nn.Module) -> None:
        assert isinstance(adapter, GatedConformerAdapter)
        self._adapters[f"gate {site}"] = adapter
        site.on_output(adapter.mixed)

    def adapter_parameters(self, geometry: Geometry) -> int:
        return super().adapter_parameters(geometry) + 2 * self.channels(geometry) + 1

    def published_surplus(self, geometry: Geometry) -> int:
        return 0

    def readings(self) -> dict[str, Tensor]:
        return {name: adapter.gate for name, adapter in self._adapters.items()}
