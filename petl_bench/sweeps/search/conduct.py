"""A search as runs: trials are asked for, their runs trained one after another, and what validation says is entered.

Every worker of the executor has a trial of its own. What a run made of its test clips does not come through here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.executors.base import Executor, Reporter
from petl_bench.executors.opening import open_executor
from petl_bench.plan import Plan, PlannedRun
from petl_bench.registry import EXECUTORS
from petl_bench.results import ResultsTree
from petl_bench.standing import earlier_reason, is_done, stamp
from petl_bench.sweeps.search.ledger import NOT_ALLOWED, Going, Ledger, TakenOverError
from petl_bench.sweeps.search.target import Target
from petl_bench.sweeps.search.validation import Validation, validation_by_epoch
from petl_bench.work import Failed, Held, Result, Stopped, Task, Trained

LOOK_SECONDS = 1.0
"""How often a search that has nothing else to do looks whether the trials of others have ended."""


class SearchReporter(Reporter, Protocol):
    """Told what happens, trials too. ``others_try``: so many trials of others are waited for; 0: runs of ours."""

    def search_begins(self, title: str, wanted: int, finished: int, epochs: int) -> None: ...
    def run_ended(self, run: PlannedRun) -> None: ...
    def trial_ended(self, number: int, finished: int, levels: dict[str, Any], outcome: str) -> None: ...
    def others_try(self, trials: int) -> None: ...


@dataclass
class Trial:
    """A trial: its runs, what is known of those that ended, and of the next one its task where it is in hand.

    epochs: the objective after epochs of the run in hand. worth: what the pruner said last. held: others train its run.
    """

    going: Going
    plan: Plan
    seen: list[Validation] = field(default_factory=list)
    task: Task | None = None
    epochs: dict[int, float] = field(default_factory=dict)
    worth: bool = True
    held: bool = False

    @property
    def run(self) -> PlannedRun:
        """The run that is to be done next."""
        return self.plan[len(self.seen)]


class Startable(Iterator[Task]):
    """The runs of a search that can be started. It may run dry, and have more when a run has ended."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def __next__(self) -> Task:
        task = self._conductor.start()
        if task is None:
            raise StopIteration
        return task


class Conductor:
    """Conducts the trials of one search in this process until there are as many as are wanted."""

    def __init__(
        self,
        target: Target,
        ledger: Ledger,
        tree: ResultsTree,
        reporter: SearchReporter,
        *,
        retry_failed: bool = False,
    ) -> None:
        self.target = target
        self.ledger = ledger
        self.tree = tree
        self.reporter = reporter
        self.retry_failed = retry_failed
        self._trials: list[Trial] = []

    def conduct(self, execution: Execution) -> None:
        """Raises UserError where no run can be trained: no data, a tree that cannot be written to."""
        if EXECUTORS.load(execution.executor).cls.trains_elsewhere:
            raise UserError(
                f"--executor {execution.executor}: a search is conducted by processes, of which any number may work on "
                "one: submit the command itself without --executor, as often as you like (docs/cluster.md)"
            )
        if self.retry_failed:
            self.ledger.try_failed_again()
        if self.ledger.is_complete:
            return
        assert self.target.workbench is not None
        self.tree.prepare()
        first = self.target.plan({}, self.target.search.tuning_seeds, "")
        epochs = self.ledger.wanted * sum(run.spec.training.epochs for run in first)
        done = len(self.ledger.finished())
        self.reporter.search_begins(self.target.title, self.ledger.wanted, done, epochs)
        executor = open_executor(self.target.workbench, self.tree, execution, self.reporter)
        try:
            executor.prepare(first)
            while not self.ledger.is_complete:
                self._do_what_there_is(executor)
                if not self.ledger.is_complete:
                    self._wait()
        finally:
            executor.close()
            for trial in self._trials:
                trial.going.claim.release()  # whoever comes next finds them lost, and goes on with their runs

    def _do_what_there_is(self, executor: Executor) -> None:
        judge = self._judge if self.target.axis.by_epoch else None
        for task, result in executor.execute(Startable(self), judge):
            trial = self._trial_of(task)
            trial.task = None
            self.reporter.run_ended(task.run)
            self._settle(trial, result)

    def start(self) -> Task | None:
        """A run that can be started now; None where there is none until another one has ended."""
        while (trial := self._free() or self._next()) is not None:
            trial.task = self._task_of(trial)
            if trial.task is not None:
                return trial.task
        return None

    def _trial_of(self, task: Task) -> Trial:
        return next(trial for trial in self._trials if trial.task is task)

    def _free(self) -> Trial | None:
        """A trial that has a run to start."""
        for trial in self._trials:
            if trial.task is None and not (trial.held and self.tree.claims.owner(trial.run.key)):
                return trial
        return None

    def _next(self) -> Trial | None:
        """A new trial whose values are allowed; those that are not have failed."""
        while (going := self.ledger.ask()) is not None:
            try:
                levels = self.target.space.levels(going.trial.params)
                label, search = f"trial {going.number}", self.target.study
                plan = self.target.plan(levels, self.target.search.tuning_seeds, label, search=search)
            except UserError as error:
                self._end(Trial(going, ()), NOT_ALLOWED + str(error))
                continue
            self._trials.append(Trial(going, plan))
            return self._trials[-1]
        return None

    def _task_of(self, trial: Trial) -> Task | None:
        """The trial's next run as a task; None where it is on record or failed before."""
        run, trial.held = trial.run, False
        if is_done(folder := self.tree.find(run.key)):
            assert folder is not None
            self._enter(trial, Validation.read(folder))
            return None
        failures = self.tree.failure_count(run.key)
        if failures and not self.retry_failed:
            self._end(trial, f"failed before: {earlier_reason(self.tree.failures().get(run.key))}")
            return None
        return Task(run=run, replaces=stamp(folder), failures=failures, judged=self.target.axis.by_epoch)

    def _settle(self, trial: Trial, result: Result) -> None:
        if isinstance(result, Trained):
            self._enter(trial, Validation.of(result.record))
        elif isinstance(result, Failed):
            self._end(trial, result.reason)
        elif isinstance(result, Stopped):
            self._prune(trial)
        elif isinstance(result, Held):
            trial.held = True
        elif (folder := self.tree.find(trial.run.key)) is not None:
            self._enter(trial, Validation.read(folder))

    def _judge(self, task: Task, epoch: int, log: dict[str, float]) -> bool:
        """Enter an epoch's value; whether the run goes on. A run that is at its end is recorded in any case."""
        trial = self._trial_of(task)
        finished = [self._objective(seen) for seen in trial.seen]
        try:
            self._report_epoch(trial, finished, epoch, log[f"validation_{self.target.search.objective}"])
        except TakenOverError:
            return True  # which is found out when the run ends
        return trial.worth or epoch == task.run.spec.training.epochs

    def _report_epoch(self, trial: Trial, finished: Sequence[float], epoch: int, objective: float) -> None:
        trial.epochs[epoch] = objective
        so_far = [value for number, value in trial.epochs.items() if number <= epoch]
        axis = self.target.axis
        trial.worth = self.ledger.report(trial.going, axis.value(finished, so_far), axis.step(len(finished), epoch))

    def _enter(self, trial: Trial, validation: Validation) -> None:
        """Enter a run's validation, and with the last one the trial's result."""
        key = trial.run.key
        trial.seen.append(validation)
        objective = [self._objective(seen) for seen in trial.seen]
        try:
            self._report(trial, objective, key)
            if len(trial.seen) < len(trial.plan):
                if not trial.worth:
                    self._prune(trial)
                return
            values = [math.fsum(objective) / len(objective)]
            if self.target.search.sampler == "nsga2":
                values.append(validation.parameters)
            self.ledger.complete(trial.going, values, _runs(trial.seen))
            self._ended(trial, self._said(values))
        except TakenOverError:
            self._drop(trial)

    def _report(self, trial: Trial, objective: Sequence[float], key: str) -> None:
        """Enter the steps of a run that ended, those too that another process trained."""
        run = len(objective) - 1
        if self.target.search.pruner == "fold:wilcoxon":
            trial.worth = self.ledger.report(trial.going, objective[-1], run)
        elif self.target.axis.by_epoch and (folder := self.tree.find(key)) is not None:
            by_epoch = validation_by_epoch(folder, self.target.search.objective)
            for epoch, value in enumerate(by_epoch, 1):
                if epoch not in trial.epochs:
                    self._report_epoch(trial, objective[:-1], epoch, value)
            trial.epochs = {}

    def _prune(self, trial: Trial) -> None:
        try:
            self.ledger.prune(trial.going, _runs(trial.seen))
            runs = len(trial.seen)
            self._ended(trial, f"pruned in run {runs + bool(trial.epochs)} of {len(trial.plan)}")
        except TakenOverError:
            self._drop(trial)

    def _end(self, trial: Trial, cause: str) -> None:
        """Enter that a trial failed for a cause of its own."""
        try:
            self.ledger.fail(trial.going, cause)
            self._ended(trial, f"FAILED: {cause}")
        except TakenOverError:
            self._drop(trial)

    def _drop(self, trial: Trial) -> None:
        trial.going.claim.release()
        self._ended(trial, "taken over by another process")

    def _ended(self, trial: Trial, outcome: str) -> None:
        self._trials = [other for other in self._trials if other is not trial]
        levels = self.target.space.levels(trial.going.trial.params)
        self.reporter.trial_ended(trial.going.number, len(self.ledger.finished()), levels, outcome)

    def _said(self, values: Sequence[float]) -> str:
        loss = self.target.search.objective == "loss"
        said = f"validation loss {values[0]:.4f}" if loss else f"validation {100 * values[0]:.2f}"
        return said + (f", {values[1]:,.0f} parameters" if len(values) > 1 else "")

    def _objective(self, validation: Validation) -> float:
        return validation.metrics[self.target.search.objective]

    def _wait(self) -> None:
        """Wait for others: for a run that a trial here needs, or for the trials that they conduct."""
        under_way = sum(not trial.state.is_finished() for trial in self.ledger.trials())
        self.reporter.others_try(max(0, under_way - len(self._trials)))
        time.sleep(LOOK_SECONDS)


def _runs(seen: Sequence[Validation]) -> list[dict[str, Any]]:
    """What validation says of every run, as a trial keeps it."""
    return [vars(validation) for validation in seen]
