"""What a module is like at a moment, so that two moments can be compared: its structure, and its tensors by bits."""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

SMALL_BYTES = 4096
LARGE_ODD = 0x9E3779B97F4A7C15 - 2**64
"""Keeps sums of rows and of columns apart."""


class Structure(NamedTuple):
    """What can be told of a module without its weights."""

    kind: type[nn.Module]
    trains: dict[str, bool]
    hooks: tuple[int, int, int]
    plain: dict[str, Any]
    """Attributes that are numbers, texts, truth values or None."""
    attributes: tuple[str, ...]

    def without(self, attribute: str) -> Structure:
        """The same but for one plain attribute."""
        return self._replace(plain={name: value for name, value in self.plain.items() if name != attribute})


def structure_of(module: nn.Module) -> Structure:
    """The structure of a module by itself, without those in it."""
    trains = {key: tensor.requires_grad for key, tensor in _tensors(module)}
    hooks = len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks)
    plain = {k: v for k, v in vars(module).items() if isinstance(v, bool | int | float | str | None)}
    return Structure(type(module), trains, hooks, plain, tuple(sorted(vars(module))))


def bits_of(module: nn.Module) -> dict[str, int]:
    """A module's own tensors by name, as sums of their bits."""
    return {key: _bits(tensor) for key, tensor in _tensors(module)}


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _bits(tensor: Tensor) -> int:
    """A sum over a tensor's memory in which every place has a weight: another value or order, another sum.

    But for rare coincidence. Large tensors are summed by rows and by columns of a square of whole numbers, which needs
    no copy; rows and columns are then weighed.
    """
    memory = tensor.detach().contiguous().view(-1).view(torch.uint8)
    if len(memory) < SMALL_BYTES:
        return zlib.crc32(memory.cpu().numpy().data)
    whole = memory[: len(memory) // 8 * 8].view(torch.int64)
    side = math.isqrt(len(whole))
    square, rest = whole[: side**2].view(side, side), whole[side**2 :]
    weights = 2 * torch.arange(max(side, len(rest)), device=tensor.device) + 1
    by_row, by_column = square.sum(dim=1) * weights[:side], square.sum(dim=0) * weights[:side] * LARGE_ODD
    parts = by_row.sum() + by_column.sum() + (rest * weights[: len(rest)]).sum()
    return int(parts) + zlib.crc32(memory[len(whole) * 8 :].cpu().numpy().data)
