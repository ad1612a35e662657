"""All trackers of a process together: each is told of every run, and left out once it raises or does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from petl_bench.errors import UserError, one_line
from petl_bench.plan import PlannedRun
from petl_bench.records import RunRecord
from petl_bench.registry import TRACKERS
from petl_bench.tracking.base import Tracker

FOLDER = "trackers"
"""Below the results folder, with a folder per tracker."""
ANSWER_SECONDS = 60.0
"""How long a tracker may take for one call, and at the end for all that it has not done yet."""


class Follower:
    """A tracker and the thread that it works in: a run waits for nothing that it does."""

    def __init__(self, name: str, folder: Path) -> None:
        self._asked: SimpleQueue[tuple[str, tuple[Any, ...]] | None] = SimpleQueue()
        self._busy_since: float | None = None
        self._failure = ""
        self._thread = threading.Thread(target=self._work, args=(name, folder), name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, what: str, *arguments: Any) -> None:
        """Have a method of the tracker called with copies of the arguments."""
        self._asked.put((what, deepcopy(arguments)))

    def finish(self) -> None:
        """Nothing more is told."""
        self._asked.put(None)

    def join(self, deadline: float) -> None:
        """Wait until it has done all that it was told, at most until then."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive() and not self._failure:
            self._failure = "it does not come to an end"

    def failure(self) -> str:
        """Why it is to be left out; empty where it is not."""
        since = self._busy_since
        if not self._failure and since is not None and time.monotonic() - since > ANSWER_SECONDS:
            self._failure = f"it does not answer within {ANSWER_SECONDS:.0f} seconds"
        return self._failure

    def _work(self, name: str, folder: Path) -> None:
        try:
            self._busy_since = time.monotonic()
            folder.mkdir(parents=True, exist_ok=True)
            tracker: Tracker = TRACKERS.load(name).cls(folder)
            self._busy_since = None
            while asked := self._asked.get():
                self._busy_since = time.monotonic()
                getattr(tracker, asked[0])(*asked[1])
                self._busy_since = None
        except (Exception, SystemExit) as error:
            self._failure = str(error) if isinstance(error, UserError) else one_line(error)


class Trackers:
    """Trackers by name. ``warn`` is told once of each that fails, by the thread that tells of runs."""

    def __init__(self, names: Sequence[str], results: Path, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._followers = {name: Follower(name, results / FOLDER / name) for name in names}
        self._told: dict[str, tuple[PlannedRun, int]] = {}
        """Runs that go on, by key, and the epochs of them that trackers know."""

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        """Tell of an epoch; the first one begins the run, and so does one that was told before."""
        if epoch <= self._told.get(run.key, (run, epoch))[1]:
            self.ended(run, None, "stopped, and goes on")
            self._tell("run_started", run)
        self._told[run.key] = (run, epoch)
        self._tell("epoch", run, epoch, log)

    def ended(self, run: PlannedRun, record: RunRecord | None, reason: str) -> None:
        """Tell of the end of a run that was begun."""
        if self._told.pop(run.key, None) is not None:
            self._tell("run_ended", run, record, reason)

    def close(self, within: float = ANSWER_SECONDS) -> None:
        """Tell of the runs that go on that they are stopped, and wait so many seconds until all is done."""
        for run, _ in list(self._told.values()):
            self.ended(run, None, "stopped")
        deadline = time.monotonic() + within
        for follower in self._followers.values():
            follower.finish()
        for follower in self._followers.values():
            follower.join(deadline)
        self._leave_out()
        self._followers.clear()

    def _tell(self, what: str, *arguments: Any) -> None:
        self._leave_out()
        for follower in self._followers.values():
            follower.tell(what, *arguments)

    def _leave_out(self) -> None:
        for name, follower in list(self._followers.items()):
            if why := follower.failure():
                del self._followers[name]
                self._warn(f"tracker {name} fails and is left out ({why}); runs go on without it")
