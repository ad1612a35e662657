"""Linear probing: only the final norm and the classification head train (arXiv 2312.03694, Table 1)."""

from __future__ import annotations

from petl_bench.backbones.base import Backbone
from petl_bench.methods.base import Method


class Linear(Method):
    def attach(self, backbone: Backbone) -> None:
        backbone.unfreeze("norm_final", role="norm")
