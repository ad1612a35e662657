"""Whole five-fold studies on ESC-10: the command line of petl-bench against the reference loop, in turn.

    python -m tests.performance.study --data-dir ESC-10 --epochs 4 --repeats 2

petl-bench starts from nothing: an empty cache, an empty results folder, its processes not yet running. Both sides train
the same epochs and batches on the same clips from the same weights and test the best validation epoch; nothing is
masked, so that states of frozen layers may be kept.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
import torch

import petl_bench  # noqa: F401
from petl_bench.backbones.resolve import resolve
from petl_bench.plan import PlannedRun
from petl_bench.results import ResultsTree
from petl_bench.workbench import Workbench
from tests.performance.reference import Clips, build, run_fold
from tests.studies import Request, plan_of

UNMASKED = ("esc10.augment.time_mask=0", "esc10.augment.frequency_mask=0")
RATES = {"linear": 1e-3, "lora": 5e-3, "conformer": 5e-3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--precision", default="fp32", help="of petl-bench; the reference is fp32")
    parser.add_argument("--studies", default="linear,all,last_two", help="these, or one of linear, lora, conformer")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.studies.split(","):
            report(name, arguments, Path(folder))


def report(name: str, arguments: argparse.Namespace, folder: Path) -> None:
    """Run both sides of a study in turn, and print ratios and accuracies."""
    methods: Sequence[str] = ("linear", "lora", "conformer") if name == "all" else (name,)
    backbone, settings, layers = "mini", UNMASKED, None
    if name == "last_two":
        methods, backbone, layers = ("conformer",), str(twelve_layers(folder / "twelve")), (10, 11)
        settings = (*UNMASKED, "conformer.placement.layers=last:2", "conformer.reduction_rate=24")
    ratios, scores = [], dict[str, list[list[float]]]()
    for at in range(arguments.repeats):
        request = Request(
            methods=tuple(methods),
            dataset="esc10",
            backbone=backbone,
            data_dir=arguments.data_dir,
            seeds=(at,),
            epochs=arguments.epochs,
            precision=arguments.precision,
            settings=settings,
        )
        theirs, their_seconds = reference(request, layers)
        ours, our_seconds = command(request, folder / f"{name}-{at}")
        ratios.append(their_seconds / our_seconds)
        for side, found in (("reference", theirs), ("petl-bench", ours)):
            for method, accuracies in found.items():
                scores.setdefault(f"{method}, {side}", []).append(accuracies)
        print(f"{name}: reference {their_seconds:.0f} s, petl-bench {our_seconds:.0f} s: {ratios[-1]:.2f}x", flush=True)
    how = f"{arguments.epochs} epochs, 5 folds, petl-bench in {arguments.precision}"
    print(f"{name}: {median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f}), {how}")
    for who, repeats in scores.items():
        means = [100 * mean(accuracies) for accuracies in repeats]
        spread = f" +- {stdev(means):.2f} between seeds" if len(means) > 1 else ""
        print(f"  {who}: test accuracy {mean(means):.2f}{spread}")


def twelve_layers(folder: Path) -> Path:
    """A checkpoint of twelve small layers with random weights."""
    from transformers import ASTConfig, ASTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
    config = ASTConfig(**sizes, frequency_stride=16, time_stride=16, max_length=500)
    ASTModel(config).save_pretrained(folder)
    return folder


def reference(request: Request, layers: Sequence[int] | None) -> tuple[dict[str, list[float]], float]:
    """Test accuracy of every fold by method, and the seconds it all took; plans and folds are petl-bench's own."""
    plan, workbench = plan_of(request)
    found: dict[str, list[float]] = {}
    started = time.perf_counter()
    for run in plan:
        found.setdefault(run.method, []).append(reference_run(run, workbench, layers))
    return found, time.perf_counter() - started


def reference_run(run: PlannedRun, workbench: Workbench, layers: Sequence[int] | None) -> float:
    spec, split = run.spec, workbench.split(run.spec)
    torch.manual_seed(1000 * spec.seed + spec.fold)  # a head of its own for every fold, as petl-bench has it
    source = resolve(str(workbench.opening.card.backbone))
    loaded: Any = source.cls.load(source.folder, spec.data.features.frames)
    settings = {
        key: value for key, value in spec.method.hyperparameters.items() if key in ("reduction_rate", "kernel_size")
    }
    model = build(loaded.model, run.method, spec.data.class_count, layers, **settings)
    parts = tuple(clips_of(workbench, part, spec.data.features.frames) for part in vars(split).values())
    recipe = spec.training
    *_, tested = run_fold(model, parts, epochs=recipe.epochs, batch=recipe.batch_size, lr=RATES[run.method])  # type: ignore[arg-type]
    return tested


def clips_of(workbench: Workbench, indices: np.ndarray, frames: int) -> Clips:
    dataset = workbench.dataset
    paths = [dataset.layout.folder / "audio" / dataset.clips[at].id for at in indices]
    return Clips(paths, dataset.targets[indices], frames)


def command(request: Request, folder: Path) -> tuple[dict[str, list[float]], float]:
    """The same for ``petl-bench run``, from an empty cache and with a worker per core."""
    flags = {
        "methods": ",".join(request.methods),
        "dataset": request.dataset,
        "backbone": request.backbone,
        "data-dir": request.data_dir,
        "jobs": os.cpu_count(),
        "epochs": request.epochs,
        "seeds": request.seeds[0],
        "precision": request.precision,
        "results": folder / "results",
    }
    arguments = ["run", *(f"--{flag}={value}" for flag, value in flags.items())]
    arguments += [f"--set={setting}" for setting in request.settings]
    environment = {**os.environ, "PETL_BENCH_CACHE": str(folder / "cache")}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "petl_bench", *arguments], capture_output=True, text=True, env=environment
    )
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[float]] = {}
    for record in ResultsTree(folder / "results").records()[0]:
        found.setdefault(record.spec.method.implementation, []).append(record.train_info.metrics["test"]["accuracy"])
    return found, seconds


if __name__ == "__main__":
    main()
