"""Why a loss is not a number: which tensor, and since which step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone


def diagnose(backbone: Backbone, features: Tensor, step: int, epoch: int) -> str:
    """Say which tensor is not finite, looking at the input, the weights, then every module's output in order."""
    where = f"loss is not finite at step {step} (epoch {epoch})"
    if not torch.isfinite(features).all():
        return f"{where}: the input features hold values that are not finite"
    for name, tensor in [*backbone.named_parameters(), *backbone.named_buffers()]:
        if not torch.isfinite(tensor).all():
            before = "before the first update" if step == 1 else f"after the update of step {step - 1}"
            return f"{where}: {name} is not finite {before}"
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
    return f"{where}: all weights are finite, the output of {culprits[0] if culprits else 'the loss'} is not"
