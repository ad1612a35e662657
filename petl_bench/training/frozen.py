"""Frozen states: what untouched layers make of every clip, computed once and shared by all runs and processes.

Layers below the first one that a method touches give the same hidden states in every epoch. Where a whole backbone is
untouched, as by the linear probe, the mean of the normalised final tokens is all that training needs. Equal to running
the whole model, up to rounding: the clips of a batch are others.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.benchmarks.clip_table import ClipTable
from petl_bench.runspec import RunSpec
from petl_bench.training.inputs import Inputs
from petl_bench.training.state_tables import state_table


@dataclass(frozen=True)
class FrozenStates:
    """States behind the first ``layers`` layers; with a ``norm``, the whole model's up to that norm's affine part."""

    table: ClipTable
    layers: int
    norm: nn.LayerNorm | None

    def logits(self, backbone: Backbone, states: Tensor) -> Tensor:
        """What the rest of the model makes of a batch of the table's rows, ``[batch, classes]``."""
        if self.norm is not None:
            return logits_of_pooled(backbone, states, self.norm)
        return backbone.classify(backbone.pool(backbone.from_hidden(states, self.layers)))


def frozen_states(
    spec: RunSpec, backbone: Backbone, layers: int, inputs: Inputs, workers: int = 1
) -> FrozenStates | None:
    """The states behind so many untouched layers; None where there are none, or no room for them."""
    if layers == 0:
        return None
    norm = plain_final_norm(backbone) if layers == backbone.geometry.layers else None

    def compute(features: Tensor) -> Tensor:
        hidden = backbone.hidden(features, layers)
        return hidden if norm is None else pooled_states(backbone, hidden, norm)

    what = ["hidden", layers] if norm is None else ["pooled", layers, backbone.pooled]
    table = state_table(compute, what, spec, backbone, inputs, workers)
    return None if table is None else FrozenStates(table, layers, norm)


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
