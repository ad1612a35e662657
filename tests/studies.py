"""Small real studies for tests: generated clips, the mini backbone, the whole way from cards to records."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from petl_bench.execution import Execution
from petl_bench.plan import Plan, PlannedRun, Request, choose, make_plan
from petl_bench.records import FinishedRun, RunRecord, read_predictions, read_record
from petl_bench.results import ResultsTree
from petl_bench.runner import Outcome, run_plan
from petl_bench.training.run import train_run
from petl_bench.workbench import Workbench, opening_of

Command = Callable[..., tuple[int, str, str]]
"""Exit code, standard output and standard error of ``petl-bench`` with some arguments."""

IN_PROCESS = Execution(executor="in_process")
TINY = Request(methods=("linear",), dataset="synthetic", folds=(1,), epochs=1, limit=2)


def plan_of(request: Request) -> tuple[Plan, Workbench]:
    """The plan of a request, and the workbench its runs are trained on."""
    choice = choose(request)
    workbench = Workbench.open(opening_of(request, choice), "cpu")
    return make_plan(request, choice, workbench.subject), workbench


def train(**changes: object) -> FinishedRun:
    """Train the first run of a tiny request with ``changes``."""
    plan, workbench = plan_of(replace(TINY, **changes))  # type: ignore[arg-type]
    return train_run(plan[0], workbench)


def computed(results: Path) -> dict[str, tuple[object, ...]]:
    """All that the runs of a tree computed, by key: every epoch, every logit."""
    found: dict[str, tuple[object, ...]] = {}
    for key, folder in ResultsTree(results).run_folders().items():
        arrays = [array.tobytes() for array in vars(read_predictions(folder)).values()]
        epochs = re.sub(r'"train_time": [^,}]*', "", (folder / "epochs.jsonl").read_text())
        found[key] = (arrays, epochs, read_record(folder).train_info.metrics)
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """As many threads as workers and other processes of tests have: sums are then equal to the bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass
class Log:
    """A reporter that remembers."""

    begun: tuple[int, int, int] = (0, 0, 0)
    started: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    waited: list[tuple[str, str]] = field(default_factory=list)
    done: list[tuple[str, bool]] = field(default_factory=list)
    interrupt_after: int | None = None
    on_begin: Callable[[], object] = lambda: None
    on_wait: Callable[[], object] = lambda: None
    on_start: Callable[[], object] = lambda: None

    def begin(self, todo: Collection[PlannedRun], done: int, failed_before: int) -> None:
        self.begun = (len(todo), done, failed_before)
        self.on_begin()

    def features(self, done: int, total: int) -> None: ...

    def run_started(self, run: PlannedRun) -> None:
        if self.interrupt_after == len(self.started):
            raise KeyboardInterrupt
        self.started.append(run.title)
        self.on_start()

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None: ...

    def remark(self, run: PlannedRun, text: str) -> None:
        self.remarks.append(text)

    def said(self, text: str) -> None:
        self.heard.append(text)

    def waiting(self, held: Sequence[tuple[PlannedRun, str]]) -> None:
        self.waited += [(run.title, owner) for run, owner in held]
        self.on_wait()

    def run_held(self, run: PlannedRun) -> None: ...

    def run_skipped(self, run: PlannedRun) -> None:
        self.skipped.append(run.title)

    def run_done(self, run: PlannedRun, record: RunRecord, first: bool) -> None:
        self.done.append((run.title, first))

    def run_failed(self, run: PlannedRun, error: str) -> None:
        self.failed.append(error)


class Study:
    """A results tree and requests run into it."""

    def __init__(self, root: Path) -> None:
        self.tree = ResultsTree(root)

    def run(
        self,
        log: Log | None = None,
        execution: Execution = IN_PROCESS,
        *,
        force: bool = False,
        retry_failed: bool = False,
        **changes: object,
    ) -> Outcome:
        plan, workbench = plan_of(replace(TINY, **changes))  # type: ignore[arg-type]
        return run_plan(plan, workbench, self.tree, log or Log(), execution, force=force, retry_failed=retry_failed)
