"""Runs in this process, one after another: for tests, and for looking into a run with a debugger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from petl_bench.errors import UserError
from petl_bench.executors.base import Executor, Judge, RunListener
from petl_bench.work import Result, Task, take_up


class InProcess(Executor):
    """A run that ends the process ends the study."""

    def execute(self, tasks: Iterable[Task], judge: Judge | None = None) -> Iterator[tuple[Task, Result]]:
        if self.execution.workers > 1:
            raise UserError("executor in_process trains one run at a time: give one --device and no --jobs")
        for task in tasks:
            self.workbench.backbone(task.run.spec)
            self.reporter.run_started(task.run)
            listener = RunListener(task, self.reporter, judge)
            yield task, take_up(task, self.workbench, self.tree, self.execution, listener)
