"""Placement: where an adapter sits in a layer, one vocabulary for all adapter methods."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from torch import nn

from petl_bench.backbones.sites import LayerSite, Site

ALIASES = {"pfeiffer": "ffn", "houlsby": "both"}
NORM_BEFORE: dict[LayerSite, LayerSite] = {"mhsa": "norm_mhsa", "ffn": "norm_ffn"}
ALLOWED_LAYERS = "give 'all', a list such as [0, 5], 'first:4', 'last:4' or 'every:2'"
Location = Annotated[
    Literal["ffn", "mhsa", "both"],
    BeforeValidator(lambda name: ALIASES.get(name, name) if isinstance(name, str) else name),
]
Position = Annotated[Literal["before", "after"] | None, BeforeValidator(lambda name: None if name == "none" else name)]


def _one_layer_is_a_list(layers: Any) -> Any:
    if type(layers) is int:
        return (layers,)
    if isinstance(layers, str) or (isinstance(layers, list | tuple) and all(type(layer) is int for layer in layers)):
        return layers
    raise ValueError(ALLOWED_LAYERS)


def _checked_layers(layers: str | tuple[int, ...]) -> str | tuple[int, ...]:
    if isinstance(layers, str):
        if layers != "all" and not re.fullmatch(r"(first|last|every):[1-9]\d{0,3}", layers):
            raise ValueError(ALLOWED_LAYERS)
        return layers
    if not layers or min(layers) < 0:
        raise ValueError("name at least one layer; layers are counted from 0")
    return tuple(sorted(set(layers)))


Layers = Annotated[
    str | tuple[int, ...],
    BeforeValidator(_one_layer_is_a_list),
    AfterValidator(_checked_layers),
]
"""``all``, numbers from 0, ``first:n``, ``last:n``, or ``every:n`` (0, n, 2n, ...)."""


def select_layers(layers: str | tuple[int, ...], count: int) -> tuple[int, ...]:
    """The numbers of the chosen layers of ``count``. Raises ValueError where there are not so many."""
    if layers == "all":
        return tuple(range(count))
    if isinstance(layers, str):
        kind, number = layers.split(":")
        every = tuple(range(count))
        if int(number) > count:
            raise ValueError(f"layers = '{layers}': the backbone has {count} layers")
        wanted = {"first": slice(int(number)), "last": slice(-int(number), None), "every": slice(0, None, int(number))}
        return every[wanted[kind]]
    if layers[-1] >= count:
        raise ValueError(f"layers = {list(layers)}: the backbone has {count} layers, 0 to {count - 1}")
    return layers


Target = Literal["q", "k", "v", "o", "fc1", "fc2"]


def _in_model_order(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    return tuple(name for name in get_args(Target) if name in targets)


Targets = Annotated[tuple[Target, ...], Field(min_length=1), AfterValidator(_in_model_order)]
"""The linear maps of a layer that a method works on, in the model's order."""


class Placement(BaseModel):
    """Where the adapter A sits at a sublayer X (attention or FFN) whose normalised input is n; the layer adds the
    result to the residual stream.

    ============  ==========  =======================  =========================
    form          position    result                   with ``residual``
    ============  ==========  =======================  =========================
    parallel      before      X(n) + A(n)              + n
    parallel      after       X(n) + A(X(n))           + X(n)
    sequential    (not said)  A(X(n))                  + X(n)
    sequential    before      X(y) + y with y = A(n)   y = A(n) + n
    sequential    after       X(n) + A(X(n))           + X(n)
    ============  ==========  =======================  =========================

    Without ``position`` these are the forms of Pfeiffer and Houlsby adapters as arXiv 2312.03694 compares them
    (``pfeiffer`` is location ffn, ``houlsby`` is both); parallel means before. With it, they are its ablation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    location: Location = "ffn"
    form: Literal["parallel", "sequential"] = "parallel"
    position: Position = None
    residual: bool = False
    layers: Layers = "all"

    @model_validator(mode="before")
    @classmethod
    def _parallel_is_before(cls, data: Any) -> Any:
        if not isinstance(data, dict | Placement):
            raise ValueError("it is set key by key, as in placement.location = 'ffn'")
        if (
            isinstance(data, dict)
            and data.get("position") in (None, "none")
            and data.get("form", "parallel") == "parallel"
        ):
            return {**data, "position": "before"}
        return data

    @property
    def locations(self) -> tuple[LayerSite, ...]:
        """The sites of a layer that are adapted."""
        return ("mhsa", "ffn") if self.location == "both" else (self.location,)

    @property
    def keeps_identity(self) -> bool:
        """Whether an adapter that returns zeros leaves the layer as it was."""
        if self.position is None:
            return self.residual
        return not self.residual and (self.form, self.position) != ("sequential", "before")

    def connect(self, site: Site, adapter: nn.Module) -> None:
        """Attach the adapter ``[batch, tokens, hidden] -> the same`` to a site of the layer."""

        def adapted(x: Any) -> Any:
            return adapter(x) + x if self.residual else adapter(x)

        if self.position is None:
            site.on_output(lambda x, y: adapted(y))
        elif self.position == "after":
            site.on_output(lambda x, y: y + adapted(y))
        elif self.form == "parallel":
            site.on_output(lambda x, y: y + adapted(x))
        else:
            site.on_input(adapted)
            site.on_output(lambda x, y: y + x)
