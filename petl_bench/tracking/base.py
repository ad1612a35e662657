"""Tracker: follows runs while they are trained. One file per tracker, named by ``--track``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from petl_bench.plan import PlannedRun
from petl_bench.records import RunRecord


class Tracker(ABC):
    """Follows the runs of one process, several at a time, from its making on in a thread of its own.

    Whatever it raises ends the tracking, never a run, and so does one call that takes longer than a minute. What it is
    given are its own copies.

    folder: its own, in the results folder. A run that goes on after it was stopped is begun again, and its earlier
    epochs are told again: what was written of it before is to be replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def run_started(self, run: PlannedRun) -> None: ...

    @abstractmethod
    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        """An epoch, from 1, and its line of ``epochs.jsonl``."""

    @abstractmethod
    def run_ended(self, run: PlannedRun, record: RunRecord | None, reason: str) -> None:
        """The run's record; None where there is none, for the reason given."""


def summary(record: RunRecord) -> dict[str, float]:
    """The numbers of a record that tell how its run ended, by name, as ``test/accuracy``."""
    info = record.train_info
    metrics = {f"{part}/{name}": value for part, values in info.metrics.items() for name, value in values.items()}
    counts = {"num_trainable_params": info.num_trainable_params, "best_epoch": info.best_epoch}
    return {**metrics, **counts, "tested_epoch": info.tested_epoch, "total_time": record.run_info.total_time}
