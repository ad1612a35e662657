"""What happens where memory runs out: batches in parts, which leave a gradient as it is, or a refusal."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

CPU_ALLOCATION = (
    *("not enough memory", "can't allocate memory", "cannot allocate memory"),
    "could not create a primitive",
)
"""How torch says on a CPU that there is no memory: a plain RuntimeError; the last one is oneDNN's, for its kernels."""


class NoMemoryError(RuntimeError):
    """A run that does not fit into memory, with what could be done."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on an accelerator or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in CPU_ALLOCATION)


def sees_batches(model: nn.Module) -> bool:
    """Whether a module's output for a clip depends on the clips beside it in training: a BatchNorm."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def smaller_parts(clips: int, *, batch_norm: bool, allowed: bool) -> int:
    """The next smaller number of clips at a time, after ``clips`` did not fit.

    Raises NoMemoryError where there is none, or where it would change what a BatchNorm sees and that is not allowed.
    """
    less = (clips + 1) // 2
    if clips == 1:
        raise NoMemoryError(
            "out of memory with one clip at a time, or for the optimizer: --gradient-checkpointing takes less for "
            "clips, and a method that trains fewer parameters less for the optimizer"
        )
    if batch_norm and not allowed:
        raise NoMemoryError(
            f"out of memory with {clips} clips at a time. In parts of {less}, BatchNorm's statistics would be those of "
            f"{less} clips: another experiment. --gradient-checkpointing takes less memory and changes nothing; "
            "--allow-parts trains in parts and says so; --set BENCHMARK.training.micro_batch_size=N makes it an "
            "experiment of its own"
        )
    return less
