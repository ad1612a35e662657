"""Why a loss is not a number: which tensor, and since which step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone


def diagnose(backbone: Backbone, features: Tensor, updates: int) -> str:
    """Say which tensor is not finite: the input, a weight, or the first module output, looked for in this order.

    ``updates`` is the number of optimizer steps made so far.
    """
    if not (torch.isfinite(features) | backbone.is_padding(features)).all():
        return "the input features hold values that are not finite"
    for name, tensor in [*backbone.named_parameters(), *backbone.named_buffers()]:
        if not torch.isfinite(tensor).all():
            since = f"after the update of step {updates}" if updates else "before the first update"
            return f"{name} is not finite {since}"
    culprits: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            value = output[0] if isinstance(output, tuple) else output
            if isinstance(value, Tensor) and not torch.isfinite(value).all():
                culprits.append(name)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in backbone.named_modules() if name]
    try:
        with torch.no_grad():
            backbone(features)
    finally:
        for handle in handles:
            handle.remove()
    culprit = f"the output of {culprits[0]}" if culprits else "the loss"
    return f"all weights are finite after {updates} updates, {culprit} is not"
