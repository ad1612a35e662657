"""Per-fold tables as papers print them, and the curves behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petl_bench.errors import UserError
from petl_bench.files import read_text
from petl_bench.index import IndexedRun

Data = dict[str, Any]
NEEDED = {"epoch", "train_loss", "validation_accuracy"}


@dataclass(frozen=True)
class FoldLine:
    """One fold's metrics as fractions, seeds averaged: validation of the best epoch, test of the tested one."""

    fold: int
    seeds: int
    validation: float
    test: float


def fold_lines(runs: Sequence[IndexedRun], folders: Mapping[str, Path]) -> list[FoldLine]:
    """One line per fold that was run; ``folders`` of runs by key. Raises UserError where epochs are damaged."""
    lines = []
    for fold in sorted({run.record.spec.fold for run in runs}):
        records = [run.record for run in runs if run.record.spec.fold == fold]
        metric = records[0].spec.data.metric
        name = f"validation_{metric}"
        curves = [read_epochs(folders[record.run_info.run_key], name) for record in records]
        best = [max(float(epoch[name]) for epoch in epochs) for epochs in curves]
        tested = [record.train_info.metrics["test"][metric] for record in records]
        lines.append(FoldLine(fold, len(records), float(np.mean(best)), float(np.mean(tested))))
    return lines


def mean_and_sd(values: Sequence[float], *, population: bool = False) -> tuple[float, float | None]:
    """Mean and standard deviation: of a sample (ddof 1), or as published tables often have it (``population``, ddof 0).

    No deviation of one value.
    """
    if len(values) < 2:
        return float(np.mean(values)), None
    return float(np.mean(values)), float(np.std(values, ddof=0 if population else 1))


def read_epochs(folder: Path, *further: str) -> list[Data]:
    """The epochs of a run folder, in order. Raises UserError where they are damaged, or lack a ``further`` number."""
    needed = sorted({*NEEDED, *further})
    path = folder / "epochs.jsonl"
    try:
        epochs = [json.loads(line) for line in read_text(path).splitlines() if line.strip()]
    except ValueError as error:
        raise UserError(f"{path}: not readable epochs ({error})") from error
    if not epochs or not all(_has_numbers(epoch, needed) for epoch in epochs):
        raise UserError(f"{path}: no epochs, or epochs without numbers for {', '.join(needed)}")
    return epochs


def _has_numbers(epoch: Any, names: Sequence[str]) -> bool:
    return isinstance(epoch, dict) and all(type(epoch.get(name)) in (int, float) for name in names)
