"""Many runs: skip what exists, have the rest trained, wait for what others train, and let no run stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from petl_bench.execution import Execution
from petl_bench.executors.base import Executor, Reporter, Witness
from petl_bench.executors.opening import open_executor
from petl_bench.plan import Plan, PlannedRun
from petl_bench.results import ResultsTree
from petl_bench.standing import earlier_reason, is_done, stamp
from petl_bench.work import Failed, Held, Lost, Result, Task, Trained
from petl_bench.workbench import Workbench

LOOK_SECONDS = 1.0
"""How often a study that has nothing else to do looks whether the runs that others train have ended."""


@dataclass
class Outcome:
    """What became of a plan. ``failed`` holds a line of reason per run, earlier failures and lost runs included."""

    trained: int = 0
    skipped: int = 0
    failed: list[tuple[PlannedRun, str]] = field(default_factory=list)


def run_plan(
    plan: Plan,
    workbench: Workbench,
    tree: ResultsTree,
    reporter: Reporter,
    execution: Execution | None = None,
    *,
    force: bool = False,
    retry_failed: bool = False,
) -> Outcome:
    """Have what the tree does not hold yet trained and filed.

    A finished run is skipped unless ``force`` or its record is damaged. A run that failed before counts as failed and
    is not tried again unless ``retry_failed`` (or ``force``). A run that another process trains is waited for, and done
    here where that process goes away. An interrupt leaves a tree that the same call completes.
    """
    execution = execution or Execution()
    tree.prepare()
    filed, failures = tree.run_folders(), tree.failures()
    outcome = Outcome()
    todo: dict[str, Task] = {}
    for run in plan:
        if not force and is_done(filed.get(run.key)):
            outcome.skipped += 1
        elif run.key in failures and not (force or retry_failed):
            outcome.failed.append((run, f"failed before: {earlier_reason(failures[run.key])}"))
        else:
            known = tree.failure_count(run.key) if run.key in failures else 0
            todo.setdefault(run.key, Task(run=run, replaces=stamp(filed.get(run.key)), failures=known))
    reporter.begin([task.run for task in todo.values()], outcome.skipped, len(outcome.failed))

    executor = open_executor(workbench, tree, execution, reporter)
    try:
        executor.prepare(task.run for task in todo.values())
        for task, result in work_off(todo.values(), executor, tree, reporter):
            _settle(outcome, task.run, result, reporter)
    finally:
        executor.close()
    return outcome


def work_off(
    tasks: Iterable[Task], executor: Executor, tree: ResultsTree, reporter: Witness
) -> Iterator[tuple[Task, Result]]:
    """Have tasks done, those that others hold too: they are waited for, and done here where their owner goes away."""
    ready, held = list(tasks), dict[str, tuple[Task, str]]()
    while ready or held:
        for task, result in executor.execute(ready):
            if isinstance(result, Held):
                held[task.run.key] = (task, result.owner)
                reporter.run_held(task.run)
            else:
                yield task, result
        ready = _released(held, tree, reporter)


def _settle(outcome: Outcome, run: PlannedRun, result: Result, reporter: Reporter) -> None:
    if isinstance(result, Trained):
        outcome.trained += 1
        reporter.run_done(run, result.record, result.first)
    elif isinstance(result, Failed | Lost):
        outcome.failed.append((run, result.reason))
        reporter.run_failed(run, result.reason)
    else:
        outcome.skipped += 1
        reporter.run_skipped(run)


def _released(
    held: dict[str, tuple[Task, str]],
    tree: ResultsTree,
    reporter: Witness,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Task]:
    """Take out of ``held`` the runs that nobody holds any more; waits until there is one."""
    if held:
        reporter.waiting([(task.run, owner) for task, owner in held.values()])
    while held:
        free = [key for key in held if tree.claims.owner(key) is None]
        if free:
            return [held.pop(key)[0] for key in free]
        sleep(LOOK_SECONDS)
    return []
