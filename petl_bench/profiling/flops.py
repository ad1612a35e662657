"""Floating-point operations of a model, as torch counts them: matrix products, convolutions and attention.

A multiply-add is 2 FLOPs. Norms, activations and sums are not counted, as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count


def forward_flops(model: nn.Module, features: Tensor) -> int:
    """FLOPs of ``model(features)``, of all clips of the batch together."""
    with torch.no_grad():
        return _counted(lambda: model(features))


def training_flops(model: nn.Module, features: Tensor, targets: Tensor) -> int:
    """FLOPs of the forward and backward pass, down to the lowest parameter that requires a gradient.

    features: ``[batch, ...]``, targets: ``[batch]``. The gradients are thrown away.
    """
    count = _counted(lambda: nn.functional.cross_entropy(model(features).float(), targets).backward())  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    return count


def _counted(work: Callable[[], object]) -> int:
    """Attention is spelled out, so that the count is the same whichever kernel a machine has for it."""
    mapping = {torch.ops.aten.convolution_backward: _convolution_backward}
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        work()
    return int(counter.get_total_flops())


def _convolution_backward(
    grad: list[int], x: list[int], weight: list[int], *others: Any, out_shape: list[list[int] | None]
) -> int:
    """From shapes: input and weight gradient each cost what the forward pass does.

    torch's own formula counts, for a weight's gradient, products between channels of different groups too.
    """
    _, _, _, _, transposed, _, _, (of_input, of_weight, _) = others
    return (of_input + of_weight) * conv_flop_count(x, weight, grad, transposed)  # type: ignore[no-any-return]
