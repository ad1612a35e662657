"""Prefix tuning: trained keys and values that every token attends to (Li and Liang, arXiv 2101.00190)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry
from petl_bench.methods.base import Method, MethodConfig
from petl_bench.methods.placement import Layers, select_layers
from petl_bench.methods.prompt import Tokens


class Prefix(Method):
    """``tokens``: half of them keys, half values, in every chosen layer, after the layer's own projections."""

    class Config(MethodConfig):
        tokens: Annotated[int, Field(ge=2, le=10_000, multiple_of=2)] = 24
        layers: Layers = "all"

    config: Config

    def check(self, geometry: Geometry) -> None:
        select_layers(self.config.layers, geometry.layers)

    def attach(self, backbone: Backbone) -> None:
        self.train_norm(backbone, "norm_final")
        for layer in select_layers(self.config.layers, backbone.geometry.layers):
            self._prefix(backbone, layer)

    def _prefix(self, backbone: Backbone, layer: int) -> None:
        keys, values = (Tokens(self.config.tokens // 2, backbone.geometry) for _ in range(2))
        backbone.add(f"layer{layer}_prefix_keys", keys, "adapter")
        backbone.add(f"layer{layer}_prefix_values", values, "adapter")

        def extended(tokens: Tokens, own: Tensor) -> Tensor:
            new = tokens.for_batch_of(own)  # [batch, count, d]
            by_head = new.view(*new.shape[:2], own.shape[1], own.shape[3]).transpose(1, 2)
            return torch.cat([by_head, own], dim=2)

        backbone.on_keys_values(layer, lambda key, value: (extended(keys, key), extended(values, value)))

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        layers = len(select_layers(self.config.layers, geometry.layers))
        return layers * self.config.tokens * geometry.hidden_size + self.norm_parameters(geometry, 1)
