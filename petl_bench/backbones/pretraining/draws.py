"""Random numbers from one explicit generator, made where the generator lives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Draws of any shape from ``generator``; nothing global is read or changed."""

    generator: torch.Generator

    @classmethod
    def seeded(cls, seed: int, device: torch.device) -> Draws:
        return cls(torch.Generator(device).manual_seed(seed))

    @property
    def device(self) -> torch.device:
        return self.generator.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform in [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """Normal around 0."""
        return deviation * torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Boolean, true with this probability."""
        return torch.rand(shape, generator=self.generator, device=self.device) < probability

    def below(self, limit: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to limit - 1."""
        return torch.randint(limit, shape, generator=self.generator, device=self.device)
