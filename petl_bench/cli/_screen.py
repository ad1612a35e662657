"""What ``run`` shows while it trains: live progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, TaskID

from petl_bench.cli._bars import QUIET_SECONDS, bars
from petl_bench.plan import PlannedRun
from petl_bench.records import RunRecord
from petl_bench.wording import count


class Screen:
    """A runner's reporter."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.runs = self.finished = self.epochs = 0
        self.epochs_done: Counter[str] = Counter()
        """By run."""
        self.last_line = time.monotonic()
        self.progress = bars(console, MofNCompleteColumn())
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.progress.stop()
        if kind is KeyboardInterrupt:
            self.say(self.stopped())

    def stopped(self) -> str:
        """What an interrupt is answered with."""
        return f"stopped after {self.finished} of {count(self.runs, 'run')}; the same command goes on from here"

    def say(self, text: str) -> None:
        self.last_line = time.monotonic()
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def begin(self, todo: Collection[PlannedRun], done: int, failed_before: int) -> None:
        self.runs, self.finished = len(todo), 0
        self.epochs_done.clear()
        self.epochs = sum(run.spec.training.epochs for run in todo)
        parts = [f"{count(self.runs, 'run')} to train"]
        if done:
            parts.append(f"{done} already on record")
        if failed_before:
            parts.append(f"{failed_before} failed before (--retry-failed tries again)")
        self.say(", ".join(parts))

    def features(self, done: int, total: int) -> None:
        if "features" not in self.tasks and not self.console.is_terminal:
            self.say(f"extracting features of {count(total, 'clip')}")
        self._show("features", "features, clips", total)
        self.progress.update(self.tasks["features"], completed=done, visible=done < total)

    def run_started(self, run: PlannedRun) -> None:
        self._show("all", "all runs, epochs", self.epochs)
        self.progress.update(self.tasks["all"], total=self.epochs)
        self._show(run.key, run.title, run.spec.training.epochs)

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        self.epochs_done[run.key] = epoch
        if run.key in self.tasks:
            self.progress.update(self.tasks[run.key], completed=epoch)
        self.progress.update(self.tasks["all"], completed=self.epochs_done.total())
        if not self.console.is_terminal and time.monotonic() - self.last_line > QUIET_SECONDS:
            accuracy = 100 * log["validation_accuracy"]
            epochs = run.spec.training.epochs
            self.say(f"  {run.title}: epoch {epoch} of {epochs}, loss {log['train_loss']:.3f}, "
                     f"validation {accuracy:.2f}")  # fmt: skip

    def remark(self, run: PlannedRun, text: str) -> None:
        self.say(f"  {run.title}: {text}")

    def said(self, text: str) -> None:
        self.say(text)

    def waiting(self, held: Sequence[tuple[PlannedRun, str]]) -> None:
        owners = Counter(owner for _, owner in held)
        others = ", ".join(f"{owner} ({count(number, 'run')})" for owner, number in sorted(owners.items()))
        self.say(f"waiting for {count(len(held), 'run')} that others train: {others}")

    def run_held(self, run: PlannedRun) -> None:
        self._hide(run)

    def run_skipped(self, run: PlannedRun) -> None:
        self._run_ended(run, "recorded by another process meanwhile")

    def run_done(self, run: PlannedRun, record: RunRecord, first: bool) -> None:
        score = 100 * record.train_info.metrics["test"][run.spec.data.metric]
        tested, seconds = record.train_info.tested_epoch, record.run_info.total_time
        late = "" if first else "; another process recorded it first, that record stays"
        self._run_ended(run, f"test {score:.2f} (epoch {tested} of {run.spec.training.epochs}, {seconds:.1f} s){late}")

    def run_failed(self, run: PlannedRun, error: str) -> None:
        self._run_ended(run, f"FAILED: {error}")

    def list_failures(self, failed: Sequence[tuple[PlannedRun, str]]) -> None:
        self.say(f"\n{count(len(failed), 'run')} failed:")
        for run, reason in failed:
            self.say(f"  {run.title} ({run.key}): {reason}")

    def _run_ended(self, run: PlannedRun, what: str) -> None:
        self._hide(run)
        self.finished += 1
        self.epochs_done[run.key] = run.spec.training.epochs
        self.say(f"[{self.finished}/{self.runs}] {run.title}: {what}")

    def _hide(self, run: PlannedRun) -> None:
        if run.key in self.tasks:
            self.progress.remove_task(self.tasks.pop(run.key))

    def _show(self, name: str, description: str, total: int) -> None:
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(escape(description), total=total)
