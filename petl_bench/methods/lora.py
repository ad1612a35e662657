"""LoRA: a trained low-rank update beside frozen linear maps (Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry, Site
from petl_bench.canonical import Introduced
from petl_bench.methods.base import Method, MethodConfig
from petl_bench.methods.placement import Layers, Targets, select_layers


class LowRankUpdate(nn.Module):
    """x -> scale * up(down(x)), rank ``rank``: ``[..., in] -> [..., out]``. ``up`` starts at zero (Hu et al., section
    4.1), or both sides as N(0, 0.02), as the code released with arXiv 2312.03694 ends up."""

    def __init__(self, in_features: int, out_features: int, rank: int, scale: float, *, released: bool) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, in_features))
        self.up = nn.Parameter(torch.zeros(out_features, rank))
        if released:
            nn.init.normal_(self.down, std=0.02)
            nn.init.normal_(self.up, std=0.02)
        else:
            nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * nn.functional.linear(nn.functional.linear(x, self.down), self.up)


def name_at(site: Site) -> str:
    """What the update at a site is called among a backbone's attachments."""
    return f"{site}_lora"


class Lora(Method):
    """Scale = alpha / rank (switch ``lora_scale``). The final norm trains too, as in arXiv 2312.03694."""

    class Config(MethodConfig):
        rank: PositiveInt = 6
        alpha: PositiveFloat = 16.0
        targets: Targets = ("q", "v")
        layers: Annotated[Layers, Introduced("all")] = "all"

    config: Config

    def check(self, geometry: Geometry) -> None:
        if self.config.rank > geometry.hidden_size:
            raise ValueError(f"rank = {self.config.rank}: at most the hidden size, {geometry.hidden_size}")
        select_layers(self.config.layers, geometry.layers)

    def attach(self, backbone: Backbone) -> None:
        self.train_norm(backbone, "norm_final")
        for site in self.sites(backbone):
            self._update(backbone, site)

    def sites(self, backbone: Backbone) -> list[Site]:
        """The linear maps that are updated."""
        layers = select_layers(self.config.layers, backbone.geometry.layers)
        return [backbone.site(target, layer) for layer in layers for target in self.config.targets]

    def update_at(self, backbone: Backbone, site: Site) -> LowRankUpdate:
        """The update of a site of a backbone that the method is attached to."""
        update = backbone.attachments[name_at(site)]
        assert isinstance(update, LowRankUpdate)
        return update

    def merge(self, backbone: Backbone) -> None:
        """W + scale * up down at every site (Hu et al., section 4.1)."""
        with torch.no_grad():
            for site in self.sites(backbone):
                update = self.update_at(backbone, site)
                site.weight.add_(update.scale * update.up @ update.down)

    def scale(self, geometry: Geometry) -> float:
        """What the update is multiplied by."""
        rank = self.config.rank
        return self.config.alpha / (rank if self.switches.lora_scale == "rank" else geometry.hidden_size / rank)

    def _update(self, backbone: Backbone, site: Site) -> None:
        released = self.switches.init == "released"
        scale = self.scale(backbone.geometry)
        update = LowRankUpdate(site.in_features, site.out_features, self.config.rank, scale, released=released)
        backbone.add(name_at(site), update, "adapter")
        site.on_output(lambda x, y: y + update(x))

    def starts_as_identity(self) -> bool:
        return self.switches.init != "released"

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        width, inner = geometry.hidden_size, geometry.intermediate_size
        sides = sum(width + inner if target in ("fc1", "fc2") else 2 * width for target in self.config.targets)
        layers = len(select_layers(self.config.layers, geometry.layers))
        return layers * sides * self.config.rank + self.norm_parameters(geometry, 1)
