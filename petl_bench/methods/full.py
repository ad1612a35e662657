"""Full fine-tuning: every parameter of the backbone trains but those its family keeps frozen."""

from __future__ import annotations

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry
from petl_bench.methods.base import Method


class Full(Method):
    def attach(self, backbone: Backbone) -> None:
        backbone.unfreeze_all()
        for layer in range(backbone.geometry.layers):
            backbone.declare_redundant("k", layer, "bias")

    def starts_as_identity(self) -> bool:
        return True

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        return total
