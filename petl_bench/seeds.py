"""Random streams: every one derived by hashing from a run's base seed, none global.

The base seed is a label. A stream is named by what it is for ("head", "batches", ...) and derived from (base seed,
dataset fingerprint, fold, name, ...), so folds never share an initialisation and methods that run under one base seed
see the same batches.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Streams:
    """The random streams of one run."""

    seed: int
    data: str
    fold: int

    def derive(self, name: str, *parts: int | str) -> int:
        """Seed of the stream ``name`` (and ``parts``, an epoch for example), in [0, 2**63)."""
        return derive_seed(self.seed, self.data, self.fold, name, *parts)


def derive_seed(*parts: int | str) -> int:
    """Seed in [0, 2**63) hashed from ``parts``."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
