"""What tests of worker processes watch: which workers live, what happens at an epoch, what undisturbed runs compute."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch

from petl_bench.execution import Execution
from petl_bench.plan import PlannedRun
from petl_bench.records import read_predictions, read_record
from petl_bench.results import ResultsTree
from tests.studies import Log, Study

THREADS = 1
LOCAL = Execution(threads=THREADS, checkpoint_every=1)


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


def computed(tree: ResultsTree) -> dict[str, tuple[object, ...]]:
    """All that the runs of a tree computed, by key."""
    found = {}
    for key, folder in tree.run_folders().items():
        arrays = [array.tobytes() for array in vars(read_predictions(folder)).values()]
        found[key] = (arrays, read_record(folder).train_info.metrics)
    return found


def undisturbed(root: Path, **changes: object) -> dict[str, tuple[object, ...]]:
    """What runs compute in this process, with as many threads as a worker has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        study = Study(root)
        study.run(**changes)  # type: ignore[arg-type]
        return computed(study.tree)
    finally:
        torch.set_num_threads(threads)
