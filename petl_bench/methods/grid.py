"""The grid of patches: what a method asks of a backbone whose tokens it needs side by side in frequency and time."""

from __future__ import annotations

from torch import Tensor

from petl_bench.backbones.sites import Geometry


def frequency_rows(geometry: Geometry) -> int:
    """Frequency rows of the tokens. Raises ValueError where they are a plain sequence."""
    if geometry.rows is None:
        raise ValueError(
            "it needs a grid of patches (frequency by time), and this backbone's tokens are a sequence of frames: "
            "try conformer, which convolves over tokens in their order"
        )
    return geometry.rows


def as_grid(patches: Tensor, rows: int) -> Tensor:
    """``[batch, rows * columns, channels]``, row after row -> ``[batch, channels, rows, columns]``."""
    return patches.transpose(1, 2).reshape(len(patches), patches.shape[2], rows, -1)


def as_tokens(grid: Tensor) -> Tensor:
    """``as_grid`` undone."""
    return grid.flatten(2).transpose(1, 2)
