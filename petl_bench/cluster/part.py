"""What one array task does: its runs, with the worker processes that a machine of one's own would have.

submitit pickles a ``Part`` and calls it on the node; at the signal before a time limit or a preemption it asks it for a
checkpoint and has SLURM put the task into the queue again.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from submitit.helpers import DelayedSubmission

from petl_bench.cluster.submission import Progress, write_progress
from petl_bench.errors import UserError
from petl_bench.plan import PlannedRun

if TYPE_CHECKING:
    from petl_bench.cluster.orders import Orders
    from petl_bench.execution import Execution
    from petl_bench.executors.base import Executor

RESERVE = 0.25
"""Of the grace before a limit, the part that is kept for putting the task into the queue again."""
MOST_STALLS = 3
"""Attempts in a row in which no run was kept or ended, after which a task is not started again."""


class Part:
    """The array task ``number`` of the submission in ``folder``. stalls: attempts so far in which no epoch ended."""

    def __init__(self, folder: Path, number: int, grace: float, stalls: int = 0) -> None:
        self.folder = folder
        self.number = number
        self.grace = grace
        self.stalls = stalls
        self._executor: Executor | None = None
        self._diary: Diary | None = None
        self._checkpoints: list[Path] = []
        self._kept_before: dict[Path, int] = {}

    def __call__(self) -> None:
        """Do the runs. Exits with 1 where none can be trained, and says why in the task's progress."""
        signal.signal(signal.SIGTERM, self._end)
        diary = self._diary = Diary(self.folder, self.number)
        try:
            self._work(diary)
        except UserError as error:
            diary.trouble(str(error))
            print(f"petl-bench: {error}", file=sys.stderr)
            sys.exit(1)

    def checkpoint(self) -> DelayedSubmission | None:
        """Have runs kept, and give submitit what it is to call when SLURM starts the task again; None: nothing."""
        self._leave()
        stalls = self.stalls + 1
        if self._kept() != self._kept_before or (self._diary is not None and self._diary.runs_ended):
            stalls = 0
        elif stalls >= MOST_STALLS:
            diary = self._diary or Diary(self.folder, self.number)
            diary.trouble(f"no epoch ended in {stalls} attempts: give the profile more time")
            return None
        return DelayedSubmission(Part(self.folder, self.number, self.grace, stalls))

    def _work(self, diary: Diary) -> None:
        from petl_bench.cluster.orders import read_orders
        from petl_bench.executors.opening import open_executor
        from petl_bench.results import ResultsTree
        from petl_bench.runner import work_off
        from petl_bench.work import Failed
        from petl_bench.workbench import Workbench

        orders = read_orders(self.folder)
        tree = ResultsTree(orders.results)
        tree.prepare()
        todo = orders.left_of(self.number, tree)
        print(f"{len(todo)} of {len(orders.parts[self.number])} runs to train", flush=True)
        if not todo:
            return
        self._checkpoints = [tree.checkpoint(task.run.key) for task in todo]
        self._kept_before = self._kept()
        execution = _on_this_node(orders)
        workbench = Workbench.open(orders.opening, execution.devices[0])
        self._executor = open_executor(workbench, tree, execution, diary)
        try:
            self._executor.prepare([task.run for task in todo])
            for task, result in work_off(todo, self._executor, tree, diary):
                diary.ended(task.run, result.kind + (f": {result.reason}" if isinstance(result, Failed) else ""))
        finally:
            self._executor.close()

    def _kept(self) -> dict[Path, int]:
        """When each run of the part was kept last, by its checkpoint."""
        found = dict[Path, int]()
        for path in self._checkpoints:
            with suppress(OSError):
                found[path] = path.stat().st_mtime_ns
        return found

    def _leave(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._executor is not None:
            self._executor.leave((1 - RESERVE) * self.grace)

    def _end(self, number: int, frame: FrameType | None) -> None:
        """At SIGTERM (a preemption, scancel): have runs kept. Whether the task comes again is for SLURM to say."""
        self._leave()
        sys.exit(128 + number)


class Diary:
    """A witness that prints into the task's log and keeps its progress in a file."""

    def __init__(self, folder: Path, number: int) -> None:
        self._place = (folder, number)
        self.runs_ended = 0
        self._progress = Progress(restarts=int(os.environ.get("SLURM_RESTART_COUNT") or 0))
        self._written = 0.0
        self._write()

    def features(self, done: int, total: int) -> None: ...

    def run_started(self, run: PlannedRun) -> None:
        self._progress.going[run.key] = (run.title, 0, run.spec.training.epochs)
        self._write()

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        self._progress.going[run.key] = (run.title, epoch, run.spec.training.epochs)
        if time.monotonic() - self._written > 1:
            self._write()

    def remark(self, run: PlannedRun, text: str) -> None:
        self.said(f"{run.title}: {text}")

    def said(self, text: str) -> None:
        print(text, flush=True)

    def waiting(self, held: Sequence[tuple[PlannedRun, str]]) -> None:
        for run, owner in held:
            self.remark(run, f"waits for {owner}")

    def run_held(self, run: PlannedRun) -> None:
        self._progress.going.pop(run.key, None)
        self._write()

    def ended(self, run: PlannedRun, how: str) -> None:
        self.runs_ended += 1
        self.remark(run, how)
        self.run_held(run)

    def trouble(self, text: str) -> None:
        self._progress.trouble = text
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        with suppress(OSError):  # which stops no run
            write_progress(*self._place, self._progress)


def _on_this_node(orders: Orders) -> Execution:
    """The execution that was asked for, with this node's devices and the task's share of its processors."""
    from petl_bench.devices import find_devices

    execution = orders.execution
    devices = find_devices(execution.cluster.device)
    threads = execution.threads or max(1, execution.cluster.profile.cpus // (len(devices) * execution.jobs))
    return execution.model_copy(update={"executor": "local", "devices": devices, "threads": threads})
