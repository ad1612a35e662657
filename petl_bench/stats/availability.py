"""Numbers that may not exist: a value, or the reason why there is none. Never NaN."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NotAvailable:
    """Stands where a number would: the data cannot give it, for ``reason``."""

    reason: str


Quantity = float | NotAvailable
"""A finite number, or why there is none."""
