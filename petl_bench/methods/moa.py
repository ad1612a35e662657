"""Mixture of adapters, dense and soft: bottleneck experts beside a sublayer (Cappellazzo et al., arXiv 2402.00828)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from petl_bench.backbones.sites import Geometry
from petl_bench.methods.adapter import AdapterConfig, AdapterMethod, MixesTokens
from petl_bench.methods.bottleneck import bottleneck_parameters, new_bottleneck


class DenseMixture(nn.Module):
    """A token's sum of all experts, weighted by a softmax of a linear router: ``[batch, tokens, d] -> the same``."""

    def __init__(self, experts: list[nn.Module], hidden_size: int, *, released: bool) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.router = nn.Linear(hidden_size, len(experts))
        if released:
            nn.init.normal_(self.router.weight, std=0.02)
            nn.init.zeros_(self.router.bias)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.router(x).softmax(dim=-1)  # [batch, tokens, experts]
        return torch.stack([weights[..., at, None] * expert(x) for at, expert in enumerate(self.experts)]).sum(dim=0)


class SoftMixture(MixesTokens, nn.Module):
    """Soft MoE (Puigcerver et al., arXiv 2308.00951, section 2.1): ``[batch, tokens, d] -> the same``.

    Scores are tokens times the slots' embeddings Phi, ``[d, experts * slots]``, Xavier's normal at the start. A slot is
    the mean of all tokens by a softmax over tokens (dispatch), an expert works on its own slots, and a token gets the
    mean of all slots' outputs by a softmax over slots (combine). ``normalise``: scores are cosines times a trained
    scale (section 2.3).
    """

    def __init__(self, experts: list[nn.Module], hidden_size: int, slots: int, *, normalise: bool) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.embeddings = nn.Parameter(torch.empty(hidden_size, len(experts) * slots))
        self.scale = nn.Parameter(torch.ones(())) if normalise else None
        nn.init.xavier_normal_(self.embeddings)

    def forward(self, x: Tensor) -> Tensor:
        scores = self._scores(x)  # [batch, tokens, experts * slots]
        used = self.padding.used_tokens(x.shape[1])
        offered = scores if used is None else scores.masked_fill(~used[..., None], -torch.inf)
        slots = offered.softmax(dim=1).mT @ x
        parts = slots.chunk(len(self.experts), dim=1)
        outputs = torch.cat([expert(part) for expert, part in zip(self.experts, parts, strict=True)], dim=1)
        return scores.softmax(dim=2) @ outputs

    def _scores(self, x: Tensor) -> Tensor:
        if self.scale is None:
            return x @ self.embeddings
        normalised = nn.functional.normalize
        return normalised(x, dim=2) @ (self.scale * normalised(self.embeddings, dim=0))


class Moa(AdapterMethod):
    """By default parallel to the FFN on its normalised input, 7 experts of 6 of 768 channels, one slot each.

    Experts start as nothing (switch ``init``). The released code adds what a mixture beside attention gives once more
    behind the FFN; here it is added once.
    """

    class Config(AdapterConfig):
        reduction_rate: PositiveInt = 128
        routing: Literal["soft", "dense"] = "soft"
        experts: Annotated[int, Field(ge=2, le=1000)] = 7
        slots: Annotated[int, Field(ge=1, le=1000)] = 1
        normalise: bool = False

        @model_validator(mode="after")
        def _dense_has_no_slots(self) -> Moa.Config:
            if self.routing == "dense" and (self.slots != 1 or self.normalise):
                raise ValueError("slots and normalise are for routing = 'soft'")
            return self

    config: Config
    literature_channels = 6

    def build(self, geometry: Geometry) -> nn.Module:
        config, width, released = self.config, geometry.hidden_size, self.switches.init == "released"
        channels = self.channels(geometry)
        experts: list[nn.Module] = [new_bottleneck(width, channels, released=released) for _ in range(config.experts)]
        if config.routing == "dense":
            return DenseMixture(experts, width, released=released)
        return SoftMixture(experts, width, config.slots, normalise=config.normalise)

    def adapter_parameters(self, geometry: Geometry) -> int:
        config, width = self.config, geometry.hidden_size
        dense = config.routing == "dense"
        routing = config.experts * (width + 1) if dense else width * config.experts * config.slots + config.normalise
        return config.experts * bottleneck_parameters(width, self.channels(geometry)) + routing

    def starts_as_identity(self) -> bool:
        return self.switches.init != "released" and self.config.placement.keeps_identity
