"""Whether a protocol's folds can be trained and tested on: what ``split`` refuses, and classes that a part lacks."""

from __future__ import annotations

from petl_bench.benchmarks.dataset import Dataset
from petl_bench.benchmarks.splits import split
from petl_bench.cards import Protocol
from petl_bench.errors import UserError

NAMED = 3
"""Classes that a line names."""


def split_problems(dataset: Dataset, protocol: Protocol) -> list[str]:
    """A line for every part of a fold in which classes have no clip, up to a fold that cannot be made, and why."""
    lines: list[str] = []
    for fold in range(1, protocol.folds + 1):
        try:
            parts = split(dataset, protocol, fold)
        except UserError as error:
            return [*lines, str(error)]
        for part, indices in vars(parts).items():
            present = set(dataset.targets[indices])
            lacking = [name for target, name in enumerate(dataset.class_names) if target not in present]
            if lacking:
                named = ", ".join(lacking[:NAMED]) + ", ..." * (len(lacking) > NAMED)
                lines.append(f"{dataset.name}: fold {fold} has no {part} clip of {named}")
    return lines
