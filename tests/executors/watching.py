"""What tests of worker processes watch: which workers live, what happens at an epoch, what undisturbed runs compute."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from petl_bench.execution import Execution
from petl_bench.plan import PlannedRun
from tests.studies import Log, Study, computed, one_thread

LOCAL = Execution(threads=1, checkpoint_every=1)


class Acting(Log):
    """A log that does something when an epoch is reported."""

    def __init__(self, act: Callable[[PlannedRun, int], None]) -> None:
        super().__init__()
        self.act = act

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        self.act(run, epoch)


def living_workers() -> set[int]:
    """Workers that this process has started and that live."""
    text = subprocess.run(["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    lines = [line.split(None, 2) for line in text.stdout.splitlines()]
    return {int(pid) for pid, state, args in lines if "executors.worker" in args and "Z" not in state}


def undisturbed(root: Path, **changes: object) -> dict[str, tuple[object, ...]]:
    """What runs compute in this process, with as many threads as a worker has."""
    with one_thread():
        Study(root).run(**changes)  # type: ignore[arg-type]
    return computed(root)
