"""SSF: a trained scale and shift of the features behind every operation (Lian et al., arXiv 2210.08823)."""

from __future__ import annotations

from typing import Annotated, Literal, cast, get_args

import torch
from pydantic import Field, field_validator
from torch import nn
from torch.nn.modules.conv import _ConvNd

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry, LayerSite, Site
from petl_bench.methods.base import Method, MethodConfig
from petl_bench.methods.placement import Layers, select_layers

Operation = Literal["patch_embedding", "norm_mhsa", "q", "k", "v", "o", "norm_ffn", "fc1", "fc2", "norm_final"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
OF_MODEL = ("patch_embedding", "norm_final")


class ScaleAndShift(nn.Module):
    """gamma * y + beta per channel, with gamma ~ N(1, 0.02) and beta ~ N(0, 0.02) (equation 2, released code).

    ``[..., width] -> the same``, or ``[batch, width, ...]`` where ``channels_first``. ``identity``: 1 and 0 instead.
    """

    def __init__(self, width: int, *, channels_first: bool, identity: bool) -> None:
        super().__init__()
        self.channels_first = channels_first
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))
        if not identity:
            nn.init.normal_(self.scale, mean=1, std=0.02)
            nn.init.normal_(self.shift, std=0.02)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        if not self.channels_first:
            return y * self.scale + self.shift
        per_channel = [-1] + [1] * (y.dim() - 2)
        return y * self.scale.view(per_channel) + self.shift.view(per_channel)


class Ssf(Method):
    """Behind every linear map and norm of the chosen layers, the patch embedding and the final norm; all else frozen.

    A key's shift adds the same to all scores of a query, which softmax takes away: it cannot matter.
    """

    class Config(MethodConfig):
        operations: Annotated[tuple[Operation, ...], Field(min_length=1)] = OPERATIONS
        layers: Layers = "all"

        @field_validator("operations")
        @classmethod
        def _in_model_order(cls, operations: tuple[Operation, ...]) -> tuple[str, ...]:
            return tuple(name for name in OPERATIONS if name in operations)

    config: Config

    def check(self, geometry: Geometry) -> None:
        select_layers(self.config.layers, geometry.layers)

    def attach(self, backbone: Backbone) -> None:
        for name in self.config.operations:
            if name in OF_MODEL:
                self._adapt(backbone, name, backbone.site(name))
        for layer in select_layers(self.config.layers, backbone.geometry.layers):
            for name in self.config.operations:
                if name not in OF_MODEL:
                    self._adapt(backbone, name, backbone.site(cast(LayerSite, name), layer))

    def _adapt(self, backbone: Backbone, name: Operation, site: Site) -> None:
        module = ScaleAndShift(
            _width(backbone.geometry, name),
            channels_first=isinstance(site.module, _ConvNd),
            identity=self.switches.init == "zero",
        )
        backbone.add(f"{site}_ssf", module, "adapter", redundant=("shift",) if name == "k" else ())
        site.on_output(lambda x, y: module(y))

    def starts_as_identity(self) -> bool:
        return self.switches.init == "zero"

    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        layers = len(select_layers(self.config.layers, geometry.layers))
        widths = (_width(geometry, name) * (1 if name in OF_MODEL else layers) for name in self.config.operations)
        return 2 * sum(widths)


def _width(geometry: Geometry, name: Operation) -> int:
    return geometry.intermediate_size if name == "fc1" else geometry.hidden_size
