"""From an ``Execution`` to the executor it names, followed by the trackers it names."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from petl_bench.execution import Execution
from petl_bench.executors.base import Executor, Judge, Witness
from petl_bench.plan import PlannedRun
from petl_bench.registry import EXECUTORS
from petl_bench.results import ResultsTree
from petl_bench.tracking.following import Trackers
from petl_bench.work import Failed, Result, Task, Trained
from petl_bench.workbench import Workbench


def open_executor(workbench: Workbench, tree: ResultsTree, execution: Execution, reporter: Witness) -> Executor:
    """The executor that trains runs as asked. Raises UserError where there is none of the name."""
    cls: type[Executor] = EXECUTORS.load(execution.executor).cls
    if not execution.trackers or cls.trains_elsewhere:
        return cls(workbench, tree, execution, reporter)
    trackers = Trackers(execution.trackers, tree.root, reporter.said)
    return Tracked(cls(workbench, tree, execution, Tap(reporter, trackers)), trackers)


class Tap:
    """Passes on to a reporter what it is told, and epochs to trackers as well."""

    def __init__(self, reporter: Witness, trackers: Trackers) -> None:
        self.reporter = reporter
        self.trackers = trackers
        self.features = reporter.features
        self.run_started = reporter.run_started
        self.remark = reporter.remark
        self.said = reporter.said
        self.waiting = reporter.waiting
        self.run_held = reporter.run_held

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        self.reporter.epoch(run, epoch, log)
        self.trackers.epoch(run, epoch, log)


class Tracked(Executor):
    """Another executor, whose results trackers are told of."""

    def __init__(self, executor: Executor, trackers: Trackers) -> None:
        super().__init__(executor.workbench, executor.tree, executor.execution, executor.reporter)
        self.executor = executor
        self.trackers = trackers

    def prepare(self, runs: Iterable[PlannedRun]) -> None:
        self.executor.prepare(runs)

    def execute(self, tasks: Iterable[Task], judge: Judge | None = None) -> Iterator[tuple[Task, Result]]:
        for task, result in self.executor.execute(tasks, judge):
            record = result.record if isinstance(result, Trained) else None
            self.trackers.ended(task.run, record, result.reason if isinstance(result, Failed) else result.kind)
            yield task, result

    def leave(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self.executor.leave(seconds)
        self.trackers.close(within=max(1.0, deadline - time.monotonic()))

    def close(self) -> None:
        self.executor.close()
        self.trackers.close()
