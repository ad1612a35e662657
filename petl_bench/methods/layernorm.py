"""Layer-norm tuning: weights and biases of the layer norms train (Qi et al., arXiv 2211.08682)."""

from __future__ import annotations

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry
from petl_bench.methods.base import Method, MethodConfig
from petl_bench.methods.placement import Layers, select_layers


class Layernorm(Method):
    """Both norms of every chosen layer, and the final one. They are the method: ``train_norms`` does not touch them."""

    class Config(MethodConfig):
        layers: Layers = "all"

    config: Config

    def check(self, geometry: Geometry) -> None:
        select_layers(self.config.layers, geometry.layers)

    def attach(self, backbone: Backbone) -> None:
        backbone.unfreeze("norm_final", role="norm")
        for layer in select_layers(self.config.layers, backbone.geometry.layers):
            backbone.unfreeze("norm_mhsa", layer, role="norm")
            backbone.unfreeze("norm_ffn", layer, role="norm")

    def starts_as_identity(self) -> bool:
        return True

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        return 2 * geometry.hidden_size * (2 * len(select_layers(self.config.layers, geometry.layers)) + 1)
