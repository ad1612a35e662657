"""All trackers of a process together: each is told of every run, and left out once it raises anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from petl_bench.errors import UserError, one_line
from petl_bench.plan import PlannedRun
from petl_bench.records import RunRecord
from petl_bench.registry import TRACKERS
from petl_bench.tracking.base import Tracker

FOLDER = "trackers"
"""Below the results folder, with a folder per tracker."""


class Trackers:
    """Trackers by name. ``warn`` is told once of each that fails."""

    def __init__(self, names: Sequence[str], results: Path, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._trackers: dict[str, Tracker] = {}
        self._told: dict[str, tuple[PlannedRun, int]] = {}
        """Runs that go on, by key, and the epochs of them that trackers know."""
        for name in names:
            self._attempt(name, self._open, name, results / FOLDER / name)

    def _open(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._trackers[name] = TRACKERS.load(name).cls(folder)

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        """Tell of an epoch; the first one begins the run, and so does one that was told before."""
        if epoch <= self._told.get(run.key, (run, epoch))[1]:
            self.ended(run, None, "stopped, and goes on")
            for name, tracker in list(self._trackers.items()):
                self._attempt(name, tracker.run_started, run)
        self._told[run.key] = (run, epoch)
        for name, tracker in list(self._trackers.items()):
            self._attempt(name, tracker.epoch, run, epoch, log)

    def ended(self, run: PlannedRun, record: RunRecord | None, reason: str) -> None:
        """Tell of the end of a run that was begun."""
        if self._told.pop(run.key, None) is not None:
            for name, tracker in list(self._trackers.items()):
                self._attempt(name, tracker.run_ended, run, record, reason)

    def close(self) -> None:
        """Tell of the runs that go on that they are stopped."""
        for run, _ in list(self._told.values()):
            self.ended(run, None, "stopped")

    def _attempt(self, name: str, do: Callable[..., None], *arguments: Any) -> None:
        try:
            do(*arguments)
        except (Exception, SystemExit) as error:
            self._trackers.pop(name, None)
            cause = str(error) if isinstance(error, UserError) else one_line(error)
            self._warn(f"tracker {name} fails and is left out ({cause}); runs go on without it")
