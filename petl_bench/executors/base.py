"""Executor: where and how runs are trained. One file per executor; the runner decides what there is to train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from petl_bench.execution import Execution
from petl_bench.plan import PlannedRun
from petl_bench.records import RunRecord
from petl_bench.results import ResultsTree
from petl_bench.training.session import StoppedError
from petl_bench.work import Result, Task
from petl_bench.workbench import Workbench

Judge = Callable[[Task, int, dict[str, float]], bool]
"""Whether a task's run goes on after an epoch, given the epoch's log."""


class Witness(Protocol):
    """Told how runs go; a class that derives from it need not listen to everything."""

    def features(self, done: int, total: int) -> None:
        return

    def run_started(self, run: PlannedRun) -> None:
        return

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        return

    def remark(self, run: PlannedRun, text: str) -> None:
        return

    def said(self, text: str) -> None:
        return

    def waiting(self, held: Sequence[tuple[PlannedRun, str]]) -> None:
        return

    def run_held(self, run: PlannedRun) -> None:
        return


class Reporter(Witness, Protocol):
    """Told what happens; a terminal, a log, a test. A run that is not ``first`` was filed by another process before."""

    def begin(self, todo: Collection[PlannedRun], done: int, failed_before: int) -> None:
        return

    def run_skipped(self, run: PlannedRun) -> None:
        return

    def run_done(self, run: PlannedRun, record: RunRecord, first: bool) -> None:
        return

    def run_failed(self, run: PlannedRun, error: str) -> None:
        return


class Unreported(Reporter):
    """A reporter that tells nobody."""


@dataclass(frozen=True)
class RunListener:
    """A run's listener that tells a reporter, and asks the judge of a task that is judged."""

    task: Task
    reporter: Witness
    judge: Judge | None = None

    @property
    def run(self) -> PlannedRun:
        return self.task.run

    def epoch(self, epoch: int, log: dict[str, float]) -> None:
        self.reporter.epoch(self.run, epoch, log)
        if self.task.judged and self.judge is not None and not self.judge(self.task, epoch, log):
            raise StoppedError

    def remark(self, text: str) -> None:
        self.reporter.remark(self.run, text)


class Executor(ABC):
    """Trains runs of one workbench into one results tree."""

    trains_elsewhere: ClassVar[bool] = False
    """Runs are trained by other executors, on other machines, which do the tracking too."""

    def __init__(self, workbench: Workbench, tree: ResultsTree, execution: Execution, reporter: Witness) -> None:
        self.workbench = workbench
        self.tree = tree
        self.execution = execution
        self.reporter = reporter

    @classmethod  # noqa: B027 (most are)
    def check_available(cls) -> None:
        """Raises UserError where this machine lacks what the executor needs."""

    def prepare(self, runs: Iterable[PlannedRun]) -> None:
        """Make the features and the splits that runs need: bad data stops a study before it starts.

        Raises UserError where that cannot be done.
        """
        one_per_fold = {run.spec.fold: run.spec for run in runs}
        for spec in list(one_per_fold.values())[:1]:
            self.workbench.features(spec.data.features, self.reporter.features)
        for spec in one_per_fold.values():
            self.workbench.split(spec)

    @abstractmethod
    def execute(self, tasks: Iterable[Task], judge: Judge | None = None) -> Iterator[tuple[Task, Result]]:
        """Do every task, and say what came of it; the judge is asked of tasks that are judged.

        Tasks are asked for when they can be started. Where none is left at one time there may be more after a result.
        Raises UserError where no run can be trained: no backbone, a tree that cannot be written to.
        """

    def leave(self, seconds: float) -> None:
        """Stop as ``close`` does, but let runs come to the end of their epoch, if they can within so many seconds."""
        self.close()

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """Stop what still goes on. A run that is stopped goes on from its checkpoint another time."""
