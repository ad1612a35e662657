"""What a study costs beside its arithmetic: overhead of tiny runs, planning and skipping many, bytes on disk.

    python -m tests.performance.growth

Overhead is all of a study's wall clock in one process that is neither forward nor backward nor optimizer; a run is one
epoch of the linear probe, or of LoRA, on a few generated clips.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

import petl_bench  # noqa: F401
from petl_bench.execution import Execution
from petl_bench.plan import Request
from petl_bench.records import FinishedRun, read_predictions, read_record
from petl_bench.results import ResultsTree
from petl_bench.runner import run_plan
from petl_bench.training import run as training
from petl_bench.training.model import Model
from tests.studies import Log, plan_of

STUDY = Request(methods=("linear",), dataset="synthetic", backbone="mini", epochs=1, limit=2)
IN_PROCESS = Execution(executor="in_process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="1,10,100,1000", help="runs of the studies that are trained")
    parser.add_argument("--planned", type=int, default=10_000, help="finished runs that are planned and skipped")
    parser.add_argument("--base", help="folder of a checkpoint of base size, of which one run is trained too")
    arguments = parser.parse_args()
    counts = tuple(map(int, arguments.counts.split(",")))
    studies: dict[str, tuple[Request, tuple[int, ...]]] = {
        "linear, 60 clips": (STUDY, counts),
        "lora, 60 clips": (replace(STUDY, methods=("lora",)), counts),
        "lora, 240 clips, 5 epochs": (replace(STUDY, methods=("lora",), epochs=5, limit=None), (5,)),
    }
    if arguments.base is not None:
        studies["lora, base size, 100 clips"] = (replace(STUDY, methods=("lora",), backbone=arguments.base), (1,))
    for name, (request, wanted) in studies.items():
        for count in wanted:
            trained(name, count, request)
    skipped(arguments.planned)
    for verb in (["ls"], ["--help"]):
        print(f"petl-bench {verb[0]}: {min(seconds_of(verb) for _ in range(5)):.2f} s")


def trained(name: str, count: int, request: Request) -> None:
    """Train so many runs in this process and say what they cost beside arithmetic."""
    seeds = max(1, count // 5)
    plan, workbench = plan_of(replace(request, seeds=tuple(range(seeds)), folds=(1,) if count < 5 else None))
    with tempfile.TemporaryDirectory() as folder:
        tree = ResultsTree(Path(folder) / "results")
        workbench.features(plan[0].spec.data.features)
        workbench.backbone(plan[0].spec)
        with arithmetic() as spent:
            started = time.perf_counter()
            outcome = run_plan(plan, workbench, tree, Log(), IN_PROCESS)
            seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in tree.root.rglob("*") if path.is_file())
    share = 1 - spent[0] / seconds
    print(
        f"{name}: {outcome.trained} runs, {1000 * seconds / outcome.trained:.1f} ms a run, "
        f"{1000 * (seconds - spent[0]) / outcome.trained:.1f} ms ({share:.1%}) of it overhead, "
        f"{size / outcome.trained / 1024:.1f} KB a run, {torch.get_num_threads()} threads, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most so far"
    )


@contextmanager
def arithmetic() -> Iterator[list[float]]:
    """Seconds spent in forward passes, backward passes and optimizer steps, while the block runs."""
    spent = [0.0]
    kept = Model.logits, torch.Tensor.backward, torch.optim.AdamW.step

    def timed(function):  # type: ignore[no-untyped-def]
        def call(*arguments, **options):  # type: ignore[no-untyped-def]
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent[0] += time.perf_counter() - started

        return call

    Model.logits, torch.Tensor.backward, torch.optim.AdamW.step = map(timed, kept)  # type: ignore[assignment]
    try:
        yield spent
    finally:
        Model.logits, torch.Tensor.backward, torch.optim.AdamW.step = kept  # type: ignore[method-assign]


def skipped(count: int) -> None:
    """Say how long a command takes whose runs are all on record."""
    request = replace(STUDY, folds=None, seeds=tuple(range(count // 5)))
    plan, workbench = plan_of(request)
    first = training.train_run(plan[0], workbench)
    with tempfile.TemporaryDirectory() as folder:
        tree = ResultsTree(Path(folder) / "results")
        tree.prepare()
        assert tree.write(first)
        made = tree.find(plan[0].key)
        assert made is not None
        record, predictions = read_record(made), read_predictions(made)
        for run in plan[1:]:
            info = record.run_info.model_copy(update={"run_key": run.key})
            copy = record.model_copy(update={"spec": run.spec, "run_info": info})
            assert tree.write(FinishedRun(copy, first.epochs, predictions))
        seeds = f"0-{count // 5 - 1}"
        command = ["run", "--methods", "linear", "--dataset", "synthetic", "--limit", "2", "--epochs", "1"]
        for again in ("first", "second"):
            seconds = seconds_of([*command, "--seeds", seeds, "--results", str(tree.root)])
            print(f"planning and skipping {count:,} finished runs: {seconds:.1f} s ({again} time)")


def seconds_of(verb: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "petl_bench", *verb], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
