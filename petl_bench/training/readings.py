"""Readings: what a method shows of itself while test clips pass, a gate for example, as means by class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from petl_bench.methods.base import Method


class Readings:
    """Gathers a method's readings batch by batch."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self._taken: dict[str, list[Tensor]] = {}

    def take(self) -> None:
        """Take the readings of the batch that has just passed."""
        for name, values in self._method.readings().items():
            self._taken.setdefault(name, []).append(values.detach().float().cpu())

    def by_class(self, targets: npt.NDArray[np.int64], classes: int) -> dict[str, tuple[float | None, ...]]:
        """By name: the mean over the clips of every class, None for a class without; ``targets`` is ``[clips]``."""
        clips = np.bincount(targets, minlength=classes)
        means = {}
        for name, parts in self._taken.items():
            values = np.concatenate([part.numpy() for part in parts]).astype(np.float64)
            sums = np.bincount(targets, weights=values, minlength=classes)
            means[name] = tuple(float(total / of) if of else None for total, of in zip(sums, clips, strict=True))
        return means
