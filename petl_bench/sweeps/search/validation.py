"""The narrow view: all that a search may know of a run. What a run made of its test clips is left behind here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from petl_bench.records import RunRecord, read_record


@dataclass(frozen=True)
class Validation:
    """One run on its validation clips. ``metrics``: fractions, and ``loss``; ``parameters``: those adapted."""

    fold: int
    seed: int
    metrics: dict[str, float]
    parameters: int
    seconds: float

    @classmethod
    def of(cls, record: RunRecord) -> Validation:
        """The part of a record that is about validation."""
        info = record.train_info
        metrics = dict(info.metrics["validation"])
        return cls(record.spec.fold, record.spec.seed, metrics, info.adapted_parameters, record.run_info.total_time)

    @classmethod
    def read(cls, folder: Path) -> Validation:
        """The same, of a run on record. Raises UserError where it cannot be read."""
        return cls.of(read_record(folder))


def validation_by_epoch(folder: Path, objective: str) -> list[float]:
    """The objective on validation clips after each epoch of a run on record; none where its log is damaged."""
    try:
        lines = (folder / "epochs.jsonl").read_text("utf-8").splitlines()
        return [float(json.loads(line)[f"validation_{objective}"]) for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        return []
