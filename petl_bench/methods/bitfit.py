"""BitFit: only the biases of linear maps and norms train (Ben Zaken et al., arXiv 2106.10199)."""

from __future__ import annotations

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry, LayerSite
from petl_bench.methods.base import Method, MethodConfig
from petl_bench.methods.placement import Layers, select_layers

SITES: tuple[LayerSite, ...] = ("q", "k", "v", "o", "fc1", "fc2", "norm_mhsa", "norm_ffn")


class Bitfit(Method):
    """Biases of every linear map and norm in the chosen layers, and of the final norm.

    A key's bias adds the same to all scores of a query, which softmax takes away: it cannot matter.
    """

    class Config(MethodConfig):
        layers: Layers = "all"

    config: Config

    def check(self, geometry: Geometry) -> None:
        select_layers(self.config.layers, geometry.layers)

    def attach(self, backbone: Backbone) -> None:
        backbone.unfreeze("norm_final", role="bias", only="bias")
        for layer in select_layers(self.config.layers, backbone.geometry.layers):
            for site in SITES:
                backbone.unfreeze(site, layer, role="bias", only="bias")
            backbone.declare_redundant("k", layer, "bias")

    def starts_as_identity(self) -> bool:
        return True

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        width = geometry.hidden_size
        layers = len(select_layers(self.config.layers, geometry.layers))
        return layers * (7 * width + geometry.intermediate_size) + width
