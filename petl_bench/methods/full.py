"""Full fine-tuning: every parameter of the backbone trains, position embeddings included."""

from __future__ import annotations

from petl_bench.backbones.base import Backbone
from petl_bench.methods.base import Method


class Full(Method):
    def attach(self, backbone: Backbone) -> None:
        backbone.unfreeze_all()
