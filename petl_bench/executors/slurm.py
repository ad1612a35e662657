"""A SLURM cluster: runs are packed into the tasks of an array job, and awaited in the results tree."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from petl_bench.cluster.orders import entry_of
from petl_bench.cluster.queue import GONE, Queue, QueuedTask, QueueError, require, tasks_of_user
from petl_bench.cluster.submission import Entry, Submission, read_progress, submissions
from petl_bench.cluster.submit import submit
from petl_bench.executors.base import Executor, Judge
from petl_bench.records import read_record
from petl_bench.standing import earlier_reason
from petl_bench.work import Failed, Lost, Result, Task, Trained

FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 1.0, 15.0
"""How often SLURM and the results tree are looked at: seldomer the longer it takes."""
TELLING_SECONDS = 30.0
"""How often it is said how many tasks are in which state, at most."""
SETTLING_SECONDS = 60.0
"""A network file system may show what a task has written so much later than SLURM says that it ended: its directories
are cached that long (nfs(5), acdirmax). A task that said itself why it ended has written all that it will."""


@dataclass
class Awaited:
    """A run that an array task is to do: the one of that number and name, a part of the submission in ``folder``.

    gone: since when the task has been, by this process's clock.
    """

    task: Task
    entry: Entry
    number: str
    name: str
    folder: Path
    part: int
    gone: float | None = None


class Slurm(Executor):
    """Array tasks outlive this process: the same command finds them again and waits for what they do."""

    trains_elsewhere: ClassVar[bool] = True

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.check_available()
        self.workbench.unload()
        self._awaited: dict[str, Awaited] = {}
        self._told, self._told_at = "", -TELLING_SECONDS

    @classmethod
    def check_available(cls) -> None:
        for program in ("sbatch", "squeue", "scancel"):
            require(program)

    def execute(self, tasks: Iterable[Task], judge: Judge | None = None) -> Iterator[tuple[Task, Result]]:
        wanted = {task.run.key: task for task in tasks}
        self._find_again(wanted)
        if self._awaited:
            self.reporter.said(f"{len(self._awaited)} of them are in SLURM's queue already")
        if new := [task for key, task in wanted.items() if key not in self._awaited]:
            folder, submission = submit(new, self.workbench.opening, self.tree, self.execution, self.reporter.said)
            for at in range(len(submission.parts)):
                self._await(wanted, submission.parts[at], submission, folder, at)
            packing = self.execution.cluster.profile.packing(len(new))
            self.reporter.said(f"submitted as job {submission.job}: {packing}")
        if not self.execution.cluster.detach:
            yield from self._watch()

    def close(self) -> None:
        """Leave array tasks as they are, and say how to find them again."""
        if self._awaited:
            flag = f"--results {shlex.quote(str(self.tree.root))}"
            jobs = ", ".join(sorted({awaited.number.partition("_")[0] for awaited in self._awaited.values()}))
            self.reporter.said(f"job {jobs} goes on: petl-bench status {flag} shows it, petl-bench cancel {flag} "
                               "cancels it, the same command waits for it")  # fmt: skip

    def _find_again(self, wanted: Mapping[str, Task]) -> None:
        """Await runs that tasks of earlier submissions are to do, where these live."""
        queue = tasks_of_user()
        for folder, submission in submissions(self.tree.root, queue):
            for at, number in enumerate(submission.numbers):
                if queue.get((number, submission.name), QueuedTask()).lives and not read_progress(folder, at).trouble:
                    part = [entry for entry in submission.parts[at] if entry.key in wanted]
                    same = [entry for entry in part if entry == entry_of(wanted[entry.key])]
                    self._await(wanted, same, submission, folder, at)

    def _await(self, wanted: Mapping[str, Task], part: Iterable[Entry], of: Submission, folder: Path, at: int) -> None:
        for entry in part:
            self._awaited[entry.key] = Awaited(wanted[entry.key], entry, of.numbers[at], of.name, folder, at)

    def _watch(self) -> Iterator[tuple[Task, Result]]:
        began = time.monotonic()
        while self._awaited:
            queue: Queue | None = None
            try:
                queue = tasks_of_user()
                self._tell(queue)
            except QueueError as error:  # a controller that is being restarted, say
                self._say_now_and_then(f"{error}; asked again until it answers")
            folders, failures = self.tree.run_folders(), self.tree.failures()
            for key, awaited in list(self._awaited.items()):
                folder = folders.get(key)
                result: Result | None = None
                if awaited.entry.is_recorded(folder):
                    assert folder is not None
                    result = Trained(record=read_record(folder), first=True)
                elif key in failures and awaited.entry.has_failed(self.tree):
                    result = Failed(reason=earlier_reason(failures[key]))
                elif queue is not None:
                    result = self._lost(awaited, queue.get((awaited.number, awaited.name), QueuedTask()))
                if result is not None:
                    del self._awaited[key]
                    yield awaited.task, result
            if self._awaited:
                waited = time.monotonic() - began
                time.sleep(min(LAST_LOOK_SECONDS, FIRST_LOOK_SECONDS + waited / 20))

    def _lost(self, awaited: Awaited, queued: QueuedTask) -> Lost | None:
        """What became of a run whose array task is gone for good; None where it may come to it yet."""
        now = time.monotonic()
        if queued.lives:
            awaited.gone = None
        elif awaited.gone is None:
            awaited.gone = now
        trouble = "" if queued.lives else read_progress(awaited.folder, awaited.part).trouble
        if awaited.gone is not None and (trouble or now - awaited.gone > SETTLING_SECONDS):
            state = "gone" if queued.state == GONE else queued.state
            why = f"{state}: {trouble}" if trouble else state
            return Lost(reason=f"its task {awaited.number} ended without it ({why}); the same command submits it again")
        return None

    def _tell(self, queue: Queue) -> None:
        """Say how many tasks are in which state, where that changed."""
        tasks = {(awaited.number, awaited.name) for awaited in self._awaited.values()}
        states = Counter(queue.get(task, QueuedTask()).state.lower() for task in tasks)
        self._say_now_and_then("tasks: " + ", ".join(f"{number} {state}" for state, number in sorted(states.items())))

    def _say_now_and_then(self, text: str) -> None:
        if text != self._told and time.monotonic() - self._told_at >= TELLING_SECONDS:
            self.reporter.said(text)
            self._told, self._told_at = text, time.monotonic()
