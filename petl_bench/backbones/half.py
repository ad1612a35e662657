"""Frozen weights kept as bf16 while a run is computed in bf16: autocast would cast them anew in every step.

Autocast keeps the casts of weights that train, not of frozen ones. The numbers are those of the cast.
"""

from __future__ import annotations

import torch
from torch import nn

from petl_bench.backbones.base import Backbone


class HalvedModule:
    """A linear map or convolution whose parameters are bf16 until ``remove``."""

    def __init__(self, module: nn.Module) -> None:
        self.kept = [(parameter, parameter.data) for parameter in module.parameters(recurse=False)]
        for parameter, data in self.kept:
            parameter.data = data.to(torch.bfloat16)

    def remove(self) -> None:
        for parameter, data in self.kept:
            parameter.data = data


def halve_frozen(backbone: Backbone) -> None:
    """Halve the linear maps and convolutions that nothing trains and nothing is attached to, until detached."""
    for module in backbone.model.modules():
        attached = module._forward_hooks or module._forward_pre_hooks
        frozen = not any(parameter.requires_grad for parameter in module.parameters(recurse=False))
        if type(module) in (nn.Linear, nn.Conv1d, nn.Conv2d) and frozen and not attached:
            backbone.until_detached(HalvedModule(module))
