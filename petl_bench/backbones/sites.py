"""Sites: the places of a model that a method may touch, and the sizes that methods and the planner depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from petl_bench.errors import UserError

LayerSite = Literal["layer_in", "mhsa", "ffn", "q", "k", "v", "o", "fc1", "fc2", "norm_mhsa", "norm_ffn"]
ModelSite = Literal["patch_embedding", "tokens_in", "norm_final"]
KeysValues = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
InputKind = Literal["log_mel", "waveform"]


@dataclass(frozen=True)
class Geometry:
    """Sizes that methods and the planner depend on.

    ``patch`` is the patch side in frames and mel bins; of a model of waveforms, the fewest frames of 10 ms that it
    makes a token of, and its ``bins`` are 0.
    """

    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    bins: int
    patch: int
    token_fan_in: int
    """Values that a token is made of, as Xavier's bound for new tokens counts them."""
    special_tokens: tuple[str, ...] = ("cls", "distillation")
    """Names of the tokens that stand before the patches."""
    rows: int | None = None
    """Frequency rows of the tokens behind the special ones, row after row in time; None for a sequence of frames."""
    input: InputKind = "log_mel"

    def check_features(self, frames: int, bins: int) -> None:
        """Raise UserError where the model cannot take features of this shape."""
        if self.input == "log_mel" and bins != self.bins:
            raise UserError(f"features.bins = {bins}: this backbone takes {self.bins} mel bins")
        if frames < self.patch:
            raise UserError(f"features.frames = {frames}: this backbone needs at least {self.patch} frames")


@dataclass(frozen=True)
class Description:
    """What is known of a backbone before it is loaded. ``note`` is shown under every table ("random weights")."""

    geometry: Geometry
    fingerprint: str
    note: str = ""


class Padding:
    """Which tokens of the batch on its way through a backbone are padding, for modules that mix tokens of a clip."""

    used: Tensor | None = None
    """True at frames that are none, ``[batch, frames]``; None where a model does not tell them apart."""

    def used_tokens(self, tokens: int) -> Tensor | None:
        """The same for so many tokens, ``[batch, tokens]``: those before the frames are a method's, and used."""
        if self.used is None:
            return None
        return extended(self.used, tokens, True)


def extended(mask: Tensor, length: int, value: float) -> Tensor:
    """A mask ``[..., tokens]`` for ``length`` tokens: a method's, which stand first, get ``value``."""
    return nn.functional.pad(mask, (length - mask.shape[-1], 0), value=value)


class Removable(Protocol):
    """Something put on a model that can be taken off again, a hook for example."""

    def remove(self) -> None: ...


class Site:
    """A place in the model where hidden states pass: the input and the output of one module.

    Attachments to a site apply in the order they were made. A module that returns a tuple is seen through: its first
    element is the output.
    """

    def __init__(self, name: str, module: nn.Module, handles: list[Removable]) -> None:
        self.name = name
        self.module = module
        self._handles = handles

    def __str__(self) -> str:
        return self.name

    @property
    def in_features(self) -> int:
        """Width of the input, at a site that is a linear map."""
        return self._linear().in_features

    @property
    def out_features(self) -> int:
        """Width of the output, at a site that is a linear map."""
        return self._linear().out_features

    @property
    def weight(self) -> Tensor:
        """``[out, in]``, at a site that is a linear map."""
        return self._linear().weight

    def on_input(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace the module's input x by ``change(x)``."""

        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            return (change(arguments[0]), *arguments[1:])

        self._handles.append(self.module.register_forward_pre_hook(hook))

    def on_output(self, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Replace the module's output y by ``change(x, y)``, with x the module's input."""

        def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:
            if isinstance(output, tuple):
                return (change(arguments[0], output[0]), *output[1:])
            return change(arguments[0], output)

        self._handles.append(self.module.register_forward_hook(hook))

    def _linear(self) -> nn.Linear:
        assert isinstance(self.module, nn.Linear), f"{self.name} is not a linear map"
        return self.module
