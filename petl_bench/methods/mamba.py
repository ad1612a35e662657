"""Mamba: a selective state space model over a sequence, in plain torch (Gu and Dao, arXiv 2312.00752).

Faster kernels need CUDA and a compiler; at the widths of adapters this is quick enough, and exact.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

SMALLEST_STEP, LARGEST_STEP = 1e-3, 1e-1
"""Between which the step sizes of channels start, log-uniform."""


class LinearRecurrence(torch.autograd.Function):
    """h[t] = a[t] h[t-1] + b[t] with h[-1] = 0, ``[time, ...]`` each, elementwise.

    Time is cut into about sqrt(T) parts of about sqrt(T) steps: all parts go on at once, each from 0, then what a part
    ends with is carried into the next. Backward is the same recurrence from the end. Only a and h are kept for it.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        h = recurrence(a, b)
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        a, h = ctx.saved_tensors
        following = torch.cat([a[1:], torch.zeros_like(a[:1])])
        of_b = recurrence(following.flip(0), gradients[0].flip(0)).flip(0)
        before = torch.cat([torch.zeros_like(h[:1]), h[:-1]])
        return of_b * before, of_b


def recurrence(a: Tensor, b: Tensor) -> Tensor:
    """``LinearRecurrence`` without its gradient."""
    time = len(a)
    steps = math.isqrt(time - 1) + 1
    parts = -(-time // steps)
    decay, h = (x.new_zeros(parts * steps, *x.shape[1:]) for x in (a, b))
    decay[:time], h[:time] = a, b
    decay, h = (x.view(parts, steps, *x.shape[1:]) for x in (decay, h))
    for step in range(1, steps):
        h[:, step].addcmul_(decay[:, step], h[:, step - 1])
        decay[:, step].mul_(decay[:, step - 1])
    for part in range(1, parts):
        h[part].addcmul_(decay[part], h[part - 1, -1])
    return h.flatten(0, 1)[:time]


class Mamba(nn.Module):
    """One block: ``[batch, tokens, width] -> the same``, causal.

    A linear map to ``expand * width`` channels u and as many gates; a depthwise convolution over ``kernel_size`` tokens
    and SiLU; step sizes, inputs B and outputs C of every token from u; the state h[t] = exp(step A) h[t-1] + step B u
    of ``states`` numbers per channel, with A < 0; y = C h + D u, times SiLU of the gate; a linear map back.
    Initialisation as in section 3.6: A = -1 ... -``states``, D = 1, steps between 0.001 and 0.1.
    """

    def __init__(self, width: int, states: int, kernel_size: int, expand: int) -> None:
        super().__init__()
        inner, self.rank, self.states = expand * width, step_rank(width), states
        self.into = nn.Linear(width, 2 * inner, bias=False)
        self.convolution = nn.Conv1d(inner, inner, kernel_size, groups=inner)
        self.select = nn.Linear(inner, self.rank + 2 * states, bias=False)
        self.step = nn.Linear(self.rank, inner)
        self.log_decay = nn.Parameter(torch.arange(1, states + 1).float().log().expand(inner, -1).clone())
        self.skip = nn.Parameter(torch.ones(inner))
        self.out = nn.Linear(inner, width, bias=False)
        nn.init.uniform_(self.step.weight, -(self.rank**-0.5), self.rank**-0.5)
        log_steps = torch.empty(inner).uniform_(math.log(SMALLEST_STEP), math.log(LARGEST_STEP))
        with torch.no_grad():
            self.step.bias.copy_(log_steps.exp().expm1().log())  # softplus of the bias is the step

    def forward(self, x: Tensor) -> Tensor:
        u, gate = self.into(x).chunk(2, dim=-1)  # [batch, tokens, inner]
        padded = nn.functional.pad(u.mT, (self.convolution.kernel_size[0] - 1, 0))
        u = nn.functional.silu(self.convolution(padded)).mT
        steps, b, c = self.select(u).split([self.rank, self.states, self.states], dim=-1)
        y = selective_scan(u, nn.functional.softplus(self.step(steps)), -self.log_decay.exp(), b, c, self.skip)
        mapped: Tensor = self.out(y.to(gate.dtype) * nn.functional.silu(gate))
        return mapped


def selective_scan(u: Tensor, steps: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> Tensor:
    """y[t] = C[t] h[t] + D u[t], with h[t] = exp(step A) h[t-1] + step B u (arXiv 2312.00752, equation 2 as released).

    u and steps ``[batch, tokens, inner]``, A ``[inner, states]``, B and C ``[batch, tokens, states]``, D ``[inner]``;
    computed in the precision of A.
    """
    u, steps, b, c = (tensor.transpose(0, 1).to(a.dtype) for tensor in (u, steps, b, c))  # time first
    decay = (steps[..., None] * a).exp()  # [tokens, batch, inner, states]
    h: Tensor = LinearRecurrence.apply(decay, (steps * u)[..., None] * b[:, :, None])  # type: ignore[no-untyped-call]
    return ((h * c[:, :, None]).sum(dim=-1) + skip * u).transpose(0, 1)


def step_rank(width: int) -> int:
    """Channels that step sizes are computed from: width / 16, rounded up."""
    return -(-width // 16)


def mamba_parameters(width: int, states: int, kernel_size: int, expand: int) -> int:
    """Parameters of a block, by formula."""
    inner, rank = expand * width, step_rank(width)
    select, step = inner * (rank + 2 * states), inner * (rank + 1)
    return 3 * width * inner + inner * (kernel_size + 1) + select + step + inner * (states + 1)
