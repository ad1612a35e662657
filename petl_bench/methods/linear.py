"""Linear probing: only the final norm and the classification head train (arXiv 2312.03694, Table 1)."""

from __future__ import annotations

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry
from petl_bench.methods.base import Method


class Linear(Method):
    def attach(self, backbone: Backbone) -> None:
        self.train_norm(backbone, "norm_final")

    def starts_as_identity(self) -> bool:
        return True

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        return self.norm_parameters(geometry, 1)
