"""Many runs: skip what exists, train the rest, file records and failures, and never let one run stop the others."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from petl_bench.errors import UserError
from petl_bench.executors.local import LocalExecutor
from petl_bench.plan import Plan, PlannedRun
from petl_bench.records import DamagedError, Failure, RunRecord, read_failure, read_record
from petl_bench.results import ResultsTree
from petl_bench.workbench import Workbench


class Reporter(Protocol):
    """Told what happens; a terminal, a log, a test. A run that is not ``first`` was filed by another process before."""

    def begin(self, todo: Collection[PlannedRun], done: int, failed_before: int) -> None: ...
    def features(self, done: int, total: int) -> None: ...
    def run_started(self, run: PlannedRun) -> None: ...
    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None: ...
    def run_skipped(self, run: PlannedRun) -> None: ...
    def run_done(self, run: PlannedRun, record: RunRecord, first: bool) -> None: ...
    def run_failed(self, run: PlannedRun, error: str) -> None: ...


@dataclass
class Outcome:
    """What became of a plan. ``failed`` holds a line of reason per run, earlier failures included."""

    trained: int = 0
    skipped: int = 0
    failed: list[tuple[PlannedRun, str]] = field(default_factory=list)


def run_plan(
    plan: Plan,
    workbench: Workbench,
    tree: ResultsTree,
    reporter: Reporter,
    *,
    force: bool = False,
    retry_failed: bool = False,
) -> Outcome:
    """Train what the tree does not hold yet and file it.

    A finished run is skipped unless ``force`` or its record is damaged. A run that failed before counts as failed and
    is not tried again unless ``retry_failed`` (or ``force``). An interrupt leaves a tree that the same call completes.
    """
    tree.prepare()
    filed = tree.run_folders()
    failed_before = {} if force or retry_failed else tree.failures()
    outcome = Outcome()
    todo: dict[str, PlannedRun] = {}
    for run in plan:
        if run.key in filed and not force and _is_readable(filed[run.key]):
            outcome.skipped += 1
        elif run.key in failed_before:
            failure = read_failure(failed_before[run.key])
            reason = failure.error if failure else "unreadable failure record"
            outcome.failed.append((run, f"failed before: {reason}"))
        else:
            todo.setdefault(run.key, run)
    reporter.begin(todo.values(), outcome.skipped, len(outcome.failed))

    def still_to_do() -> Iterator[PlannedRun]:
        """The runs that no other process has filed by the time they would start."""
        for run in todo.values():
            if run.key in filed or tree.find(run.key) is None:
                yield run
            else:
                outcome.skipped += 1
                reporter.run_skipped(run)

    executor = LocalExecutor(workbench)
    executor.prepare(todo.values(), reporter.features)
    for run, result in executor.execute(still_to_do(), reporter.run_started, reporter.epoch):
        if isinstance(result, Exception):
            reason = f"{type(result).__name__}: {result}".partition("\n")[0]
            with _filing(tree):
                tree.write_failure(_failure(run, result, reason))
            outcome.failed.append((run, reason))
            reporter.run_failed(run, reason)
        else:
            with _filing(tree):
                first = tree.write(result, replace=run.key in filed)
            outcome.trained += 1
            reporter.run_done(run, result.record, first)
    return outcome


def _is_readable(folder: Path) -> bool:
    """Whether a filed run counts as done: a damaged record does not, and is replaced.

    Raises UserError for a record that a later version wrote, or that cannot be read now.
    """
    try:
        read_record(folder)
    except DamagedError:
        return False
    return True


@contextmanager
def _filing(tree: ResultsTree) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{tree.root} cannot be written to ({error.strerror or error}); what was recorded before is intact, and "
            "the same command goes on from there"
        ) from error


def _failure(run: PlannedRun, error: Exception, reason: str) -> Failure:
    return Failure(
        run_key=run.key,
        title=run.title,
        error=reason,
        traceback="".join(traceback.format_exception(error)),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        spec=run.spec,
    )
