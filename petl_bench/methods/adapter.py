"""The family of adapters: a small module per adapted site, down to r channels and up again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Annotated, ClassVar

from pydantic import PositiveInt
from torch import nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry, Padding, Site
from petl_bench.canonical import Introduced
from petl_bench.methods.base import Method, MethodConfig
from petl_bench.methods.placement import NORM_BEFORE, Placement, select_layers


class AdapterConfig(MethodConfig):
    """Bottleneck r = floor(d / reduction_rate), as arXiv 2312.03694 has it; its released code rounds."""

    reduction_rate: PositiveInt
    placement: Annotated[Placement, Introduced(Placement())] = Placement()


class MixesTokens:
    """A module that mixes the tokens of a clip: frames of padding are to count nowhere in it."""

    padding: Padding = Padding()
    """The backbone's own, once the module is attached."""


class AdapterMethod(Method):
    """One adapter per adapted site. The norm that feeds each of these sites and the final norm train too.

    A subclass says how to ``build`` an adapter, how many parameters it has, and which of them cannot matter.
    """

    config: AdapterConfig
    literature_channels: ClassVar[int | None] = None
    """The r of the literature, named where a backbone's hidden size leaves very little."""

    @abstractmethod
    def build(self, geometry: Geometry) -> nn.Module:
        """A new adapter, ``[batch, tokens, d] -> [batch, tokens, d]``."""

    def builder(self, geometry: Geometry) -> Callable[[], nn.Module]:
        """What gives the adapter of one site after the other; modules that all sites share are made here."""
        return partial(self.build, geometry)

    @abstractmethod
    def adapter_parameters(self, geometry: Geometry) -> int:
        """Parameters of one adapter, by formula."""

    def redundant_parameters(self, geometry: Geometry) -> tuple[str, ...]:
        """Names, within an adapter, of parameters that cannot change a training loss."""
        return ()

    def channels(self, geometry: Geometry) -> int:
        return geometry.hidden_size // self.config.reduction_rate

    def check(self, geometry: Geometry) -> None:
        if self.channels(geometry) == 0:
            raise ValueError(
                f"reduction_rate = {self.config.reduction_rate} leaves no channel of hidden size "
                f"{geometry.hidden_size}: at most {geometry.hidden_size}"
            )
        select_layers(self.config.placement.layers, geometry.layers)

    def remark(self, geometry: Geometry) -> str:
        if self.literature_channels is None or self.channels(geometry) >= 4:
            return ""
        same = max(1, geometry.hidden_size // self.literature_channels)
        return (
            f"reduction_rate = {self.config.reduction_rate} leaves {self.channels(geometry)} of {geometry.hidden_size} "
            f"channels; reduction_rate = {same} gives the {self.literature_channels} of the literature"
        )

    def attach(self, backbone: Backbone) -> None:
        geometry, placement = backbone.geometry, self.config.placement
        build = self.builder(geometry)
        self.train_norm(backbone, "norm_final")
        for layer in select_layers(placement.layers, geometry.layers):
            for location in placement.locations:
                self.train_norm(backbone, NORM_BEFORE[location], layer)
                site, adapter = backbone.site(location, layer), build()
                name = f"{site}_{type(self).__name__.lower()}"
                backbone.add(name, adapter, "adapter", redundant=self.redundant_parameters(geometry))
                if isinstance(adapter, MixesTokens):
                    adapter.padding = backbone.padding
                self.connect(site, adapter)

    def connect(self, site: Site, adapter: nn.Module) -> None:
        """Put an adapter on its site."""
        self.config.placement.connect(site, adapter)

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        sites = self._sites(geometry)
        return sites * self.adapter_parameters(geometry) + self.norm_parameters(geometry, sites + 1)

    def _sites(self, geometry: Geometry) -> int:
        placement = self.config.placement
        return len(select_layers(placement.layers, geometry.layers)) * len(placement.locations)
