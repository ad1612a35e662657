"""What a method leaves of a backbone as it was loaded: there a clip gives the same numbers in every epoch and run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from petl_bench.backbones.base import Backbone


def untouched_layers(backbone: Backbone, loaded: Mapping[str, Any]) -> int:
    """How many layers, counted from the input, are as in ``loaded``, the backbone's ``structure`` before a method.

    0 where something before the first layer was touched, or where dropout makes hidden states random in training. The
    final norm is no part of the last layer, though it may stand in it.
    """
    now = backbone.structure()
    changed = {name for name in loaded.keys() | now.keys() if loaded.get(name) != now.get(name)}
    names = {id(module): name for name, module in backbone.named_modules()}

    changed.discard(names[id(backbone.module_at("norm_final", None))])

    def is_touched(module: nn.Module) -> bool:
        name = names[id(module)]
        return any(other == name or other.startswith(f"{name}.") for other in changed)

    if backbone.drops_out() or any(map(is_touched, backbone.before_layers())):
        return 0
    layers = (backbone.module_at("layer_in", layer) for layer in range(backbone.geometry.layers))
    touched = [is_touched(layer) for layer in layers]
    return touched.index(True) if True in touched else len(touched)


def plain_final_norm(backbone: Backbone) -> nn.LayerNorm | None:
    """The final norm where it is a LayerNorm that nothing is attached to: its affine part commutes with the mean."""
    norm = backbone.module_at("norm_final", None)
    if type(norm) is not nn.LayerNorm or norm._forward_hooks or norm._forward_pre_hooks:
        return None
    return norm


def pooled_states(backbone: Backbone, hidden: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Mean over the pooled tokens of hidden states, normalised without weight and bias, ``[batch, hidden]``."""
    return backbone.pool(nn.functional.layer_norm(hidden, norm.normalized_shape, None, None, norm.eps))


def logits_of_pooled(backbone: Backbone, pooled: Tensor, norm: nn.LayerNorm) -> Tensor:
    """What ``pooled_states`` comes to with the norm's weight and bias and the head, ``[batch, classes]``."""
    if norm.weight is not None:
        pooled = pooled * norm.weight
    if norm.bias is not None:
        pooled = pooled + norm.bias
    return backbone.classify(pooled)
