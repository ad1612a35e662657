"""What ``data`` shows while it works: a bar for every step on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID, TextColumn

from petl_bench.benchmarks.acquisition import Unit
from petl_bench.cli._bars import QUIET_SECONDS, bars


class Steps:
    """Shows one step after the other; called with what is done and, where it is known, of how much."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = bars(console, TextColumn("{task.fields[amount]}"))
        self.step = ""
        self.task: TaskID | None = None
        self.last_line = 0.0

    def __enter__(self) -> Steps:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.progress.stop()

    def __call__(self, step: str, done: int, total: int | None, unit: Unit) -> None:
        if step != self.step:
            self.step, self.last_line = step, 0.0
            if self.task is not None:
                self.progress.remove_task(self.task)
            self.task = self.progress.add_task(escape(step), total=total, amount="")
        assert self.task is not None
        self.progress.update(self.task, completed=done, total=total, amount=_amount(done, total, unit))
        if not self.console.is_terminal and time.monotonic() - self.last_line > QUIET_SECONDS:
            self.last_line = time.monotonic()
            line = f"{escape(step)}: {_amount(done, total, unit)}"
            self.console.print(line, highlight=False, soft_wrap=True)


def _amount(done: int, total: int | None, unit: Unit) -> str:
    """``12 of 600 MB``, ``300 of 2,000 clips``."""
    scale, name = (1e6, "MB") if unit == "bytes" else (1, unit)
    whole = "" if total is None else f" of {total / scale:,.0f}"
    return f"{done / scale:,.0f}{whole} {name}"
