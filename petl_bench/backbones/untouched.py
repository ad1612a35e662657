"""What a method leaves of a backbone as it was loaded: there a clip gives the same numbers in every epoch and run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.condition import Structure, bits_of

APART = ("attachments", "head", "attention function")
"""Parts of a backbone's condition that change no hidden state by themselves: sites say where attachments are used."""


def untouched_layers(backbone: Backbone, loaded: Mapping[str, Any]) -> int:
    """How many layers, counted from the input, are as in ``loaded``, the ``condition`` before a method.

    Weights count as well as hooks. 0 where anything but layers and final norm was touched, or where dropout makes
    hidden states random in training. The final norm is no part of the last layer, though it may stand in it.
    """
    if backbone.drops_out():
        return 0
    now, names = backbone.structure(), {id(module): name for name, module in backbone.named_modules()}
    layers = [names[id(backbone.module_at("layer_in", layer))] for layer in range(backbone.geometry.layers)]
    final = names[id(backbone.module_at("norm_final", None))]
    changed = {
        name for name in loaded.keys() | now.keys() if name not in loaded or not _alike(loaded[name][0], now.get(name))
    }
    changed -= {name for name in changed if _is_within(name, final) or any(_is_within(name, part) for part in APART)}
    by_layer = [{name for name in changed if _is_within(name, layer)} for layer in layers]
    untouched = next((at for at, its in enumerate(by_layer) if its), len(layers))
    if untouched == 0 or changed.difference(*by_layer):
        return 0
    inside = {name for name in now if _is_within(name, final) or any(_is_within(name, layer) for layer in layers)}
    around = [name for name in now if name not in inside and not any(_is_within(name, part) for part in APART)]
    if not all(_has_its_weights(backbone, name, loaded) for name in around):
        return 0
    for at, layer in enumerate(layers[:untouched]):
        its = [name for name in now if _is_within(name, layer) and not _is_within(name, final)]
        if not all(_has_its_weights(backbone, name, loaded) for name in its):
            return at
    return untouched


def _is_within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _alike(loaded: Any, now: Any) -> bool:
    """Whether a module's structure is as it was; which tokens a head reads is no matter of the layers."""
    if not isinstance(loaded, Structure) or not isinstance(now, Structure):
        return bool(loaded == now)
    return loaded.without("pooled") == now.without("pooled")


def _has_its_weights(backbone: Backbone, name: str, loaded: Mapping[str, Any]) -> bool:
    return bool(bits_of(backbone.get_submodule(name)) == loaded[name][1])
