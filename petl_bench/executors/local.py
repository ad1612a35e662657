"""Runs in this process, one after another, on one workbench."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from petl_bench.benchmarks.features import Progress
from petl_bench.plan import PlannedRun
from petl_bench.records import FinishedRun
from petl_bench.training import train_run
from petl_bench.workbench import Workbench

OnEpoch = Callable[[PlannedRun, int, dict[str, float]], None]


class LocalExecutor:
    """Trains in this process. ``prepare`` loads what all runs share: bad data stops a study before it starts."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench

    def prepare(self, runs: Iterable[PlannedRun], progress: Progress) -> None:
        """Make features and load the backbone. Raises UserError where either cannot be had."""
        one_per_fold = {run.spec.fold: run.spec for run in runs}
        for spec in list(one_per_fold.values())[:1]:
            self.workbench.features(spec.data.features, progress)
            self.workbench.backbone(spec)
        for spec in one_per_fold.values():
            self.workbench.split(spec)

    def execute(
        self, runs: Iterable[PlannedRun], on_start: Callable[[PlannedRun], None], on_epoch: OnEpoch
    ) -> Iterator[tuple[PlannedRun, FinishedRun | Exception]]:
        """Train every run; one that raises gives its exception and stops no other."""
        for run in runs:
            on_start(run)
            try:
                yield run, train_run(run, self.workbench, partial(on_epoch, run))
            except Exception as error:
                yield run, error
            except SystemExit as error:  # from a method's code: one run may not end the others
                yield run, RuntimeError(f"the method calls sys.exit({error.code!r})")
