"""Pooled states behind every layer of a frozen backbone, from one forward pass per clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.benchmarks.clip_table import ClipTable
from petl_bench.benchmarks.splits import Split
from petl_bench.errors import UserError
from petl_bench.runspec import RunSpec
from petl_bench.training.inputs import Inputs
from petl_bench.training.state_tables import state_table
from petl_bench.workbench import Workbench


def layer_states(spec: RunSpec, workbench: Workbench, split: Split) -> ClipTable:
    """``[clips, 1 + layers, hidden]`` from the shared cache: the first layer's input, then every layer's output.

    Tokens are normalised without weight and bias, then their mean is taken: a linear map of it is what a linear map of
    the tokens behind a trained norm would see. Raises UserError where the cache has no room.
    """
    backbone = workbench.backbone(spec)
    inputs = Inputs(spec, workbench, split)
    try:
        table = state_table(
            lambda features: pooled_by_depth(backbone, features), ["pooled by depth"], spec, backbone, inputs
        )
    finally:
        backbone.detach()
    if table is None:
        raise UserError("the cache has no room for the layers' states; $PETL_BENCH_CACHE names another folder")
    return table


def pooled_by_depth(backbone: Backbone, features: Tensor) -> Tensor:
    """Features to ``[batch, 1 + layers, hidden]``; padding that a backbone tells apart counts nowhere."""
    seen: list[Tensor] = []
    padding = backbone.hidden(features, 0).isnan()

    def look(hidden: Tensor) -> Tensor:
        normalised = nn.functional.layer_norm(hidden, hidden.shape[-1:])
        seen.append(backbone.pool(normalised.masked_fill(padding, torch.nan)))
        return hidden

    backbone.site("layer_in", 0).on_input(look)
    for layer in range(backbone.geometry.layers):
        backbone.site("layer_in", layer).on_output(lambda x, y: look(y))
    try:
        backbone.tokens(features)
    finally:
        backbone.detach()
    return torch.stack(seen, dim=1)
