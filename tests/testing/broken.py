"""Methods that are wrong on purpose, each in one way: the contract must catch each by the rule it breaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import field_validator
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry
from petl_bench.methods.base import Method, MethodConfig


class Gain(nn.Module):
    """A trained factor per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((width,), 1.1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class Sound(Method):
    """Breaks nothing: a gain on the first FFN's output. The others differ from it in one point."""

    def module(self, width: int) -> nn.Module:
        return Gain(width)

    def attach(self, backbone: Backbone) -> None:
        module = self.module(backbone.geometry.hidden_size)
        backbone.add("gain", module, "adapter")
        backbone.site("ffn", 0).on_output(lambda x, y: module(y))


class ConfigThatDrifts(Sound):
    class Config(MethodConfig):
        rate: float = 1.0

        @field_validator("rate")
        @classmethod
        def _halved(cls, rate: float) -> float:
            return rate / 2


class ClaimsIdentity(Sound):
    def starts_as_identity(self) -> bool:
        return True


class DeadParameters(Sound):
    """The result of a norm is thrown away, as in the released conformer adapter."""

    def module(self, width: int) -> nn.Module:
        class WithDiscardedNorm(Gain):
            def __init__(self) -> None:
                super().__init__(width)
                self.norm = nn.LayerNorm(width)

            def forward(self, x: Tensor) -> Tensor:
                self.norm(x)
                return super().forward(x)

        return WithDiscardedNorm()


class ForgetsToAdd(Sound):
    """What trains is not in the backbone, so no optimizer and no record sees it."""

    def attach(self, backbone: Backbone) -> None:
        super().attach(backbone)
        forgotten = self.module(backbone.geometry.hidden_size)
        backbone.site("ffn", 1).on_output(lambda x, y: y + 0 * forgotten(y))


class DeclaresLiveParameters(Sound):
    def attach(self, backbone: Backbone) -> None:
        module = self.module(backbone.geometry.hidden_size)
        backbone.add("gain", module, "adapter", redundant=["gain"])
        backbone.add("other", self.module(backbone.geometry.hidden_size), "adapter", redundant=["gain"])
        backbone.site("ffn", 0).on_output(lambda x, y: module(y))


class ChangesFrozenWeights(Sound):
    def attach(self, backbone: Backbone) -> None:
        super().attach(backbone)
        frozen = backbone.module_at("fc2", 1)

        def prune(x: Tensor) -> Tensor:
            with torch.no_grad():
                frozen.bias.fill_(0.5)  # type: ignore[operator, union-attr]
            return x

        backbone.site("layer_in", 0).on_input(prune)


class WrongFormula(Sound):
    def expected_parameters(self, geometry: Geometry, total: int) -> int:
        return geometry.hidden_size + 1


class HiddenState(Sound):
    """What is drawn is neither parameter nor buffer."""

    def module(self, width: int) -> nn.Module:
        shift = torch.rand(width)

        class WithShift(Gain):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x) + shift

        return WithShift(width)


class LeavesAHook(Sound):
    def attach(self, backbone: Backbone) -> None:
        super().attach(backbone)
        backbone.module_at("ffn", 1).register_forward_hook(lambda module, arguments, output: output * 2)


class ChangesAnAttribute(Sound):
    def attach(self, backbone: Backbone) -> None:
        super().attach(backbone)
        for module in backbone.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.5


class NotInBfloat16(Sound):
    """Its own tensor stays in single precision where the backbone's are not."""

    def attach(self, backbone: Backbone) -> None:
        shift = nn.ParameterList([torch.full((1, 1, backbone.geometry.intermediate_size), 0.1)])
        backbone.add("shift", shift, "adapter")
        first = torch.tensor([0])
        backbone.site("fc1", 0).on_output(lambda x, y: y.index_add(1, first, shift[0].expand(len(y), -1, -1)))


class UninitialisedMemory(Sound):
    def module(self, width: int) -> nn.Module:
        module = super().module(width)
        module.register_buffer("scratch", torch.empty(width))
        return module


class UninitialisedOnTheWay(Sound):
    def module(self, width: int) -> nn.Module:
        class WithScratch(Gain):
            def forward(self, x: Tensor) -> Tensor:
                scratch = torch.empty(1, dtype=torch.int64)
                poisoned = scratch == torch.iinfo(torch.int64).max  # what memory holds by chance does not matter
                return super().forward(x).masked_fill(poisoned, torch.nan)

        return WithScratch(width)


class OneLengthOnly(Sound):
    """A shift per token, for the 50 tokens of 100 frames."""

    def attach(self, backbone: Backbone) -> None:
        shift = nn.ParameterList([torch.full((50, 1), 0.1)])
        backbone.add("shift", shift, "adapter")
        backbone.site("ffn", 0).on_output(lambda x, y: y + shift[0])


class MixesClips(Sound):
    def module(self, width: int) -> nn.Module:
        class Centred(Gain):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x) - x.mean(dim=0)

        return Centred(width)


class DrawsElsewhere(Sound):
    def module(self, width: int) -> nn.Module:
        module: Any = super().module(width)
        module.gain.data += float(np.random.rand())  # noqa: NPY002
        return module


class StartsAlike(Sound):
    """A generator of its own, with a seed of its own."""

    def module(self, width: int) -> nn.Module:
        module: Any = super().module(width)
        module.gain.data += torch.rand(width, generator=torch.Generator().manual_seed(0))
        return module


class DropsByNumpy(Sound):
    """Two trainings of one seed differ."""

    def module(self, width: int) -> nn.Module:
        class Dropping(Gain):
            def forward(self, x: Tensor) -> Tensor:
                keep = np.random.rand() if self.training else 1.0  # noqa: NPY002
                return super().forward(x) * keep

        return Dropping(width)


class SeedsTorch(Sound):
    def module(self, width: int) -> nn.Module:
        torch.manual_seed(0)
        module: Any = super().module(width)
        module.gain.data += torch.rand(width)
        return module


BROKEN: dict[type[Method], str] = {
    ConfigThatDrifts: "config_survives_json",
    ClaimsIdentity: "starts_as_identity",
    DeadParameters: "every_parameter_can_matter",
    ForgetsToAdd: "every_parameter_can_matter",
    DeclaresLiveParameters: "every_parameter_can_matter",
    ChangesFrozenWeights: "frozen_weights_stay",
    WrongFormula: "parameter_count_is_the_formula",
    HiddenState: "saved_and_loaded_it_is_the_same",
    LeavesAHook: "detach_restores_the_backbone",
    ChangesAnAttribute: "detach_restores_the_backbone",
    NotInBfloat16: "bf16_is_finite",
    UninitialisedMemory: "no_memory_is_left_uninitialised",
    UninitialisedOnTheWay: "no_memory_is_left_uninitialised",
    OneLengthOnly: "sizes_and_lengths",
    MixesClips: "clips_do_not_see_each_other",
    DrawsElsewhere: "seeds_are_honoured",
    StartsAlike: "seeds_are_honoured",
    DropsByNumpy: "seeds_are_honoured",
    SeedsTorch: "seeds_are_honoured",
}
