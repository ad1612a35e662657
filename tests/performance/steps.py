"""One training step of the conformer adapter on an AST of base size: petl-bench against the published way.

    python -m tests.performance.steps --frames 500 --batch 4

Each contender is a process of its own, as petl-bench's workers are, with the same number of threads; they make a step
in turn, so that noise meets all of them. Printed are ratios to the published way, with their spread, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import petl_bench  # noqa: F401  (lets transformers import torchaudio beside a torch without CUDA)

PUBLISHED = "published"
CONTENDERS = (PUBLISHED, "fp32", "bf16")


def main() -> None:
    arguments = read_arguments()
    if arguments.serve:
        serve(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments.checkpoint = Path(folder) / "base"
        save_base(arguments.checkpoint)
        print(json.dumps(compare(arguments), indent=1) if arguments.json else as_text(compare(arguments), arguments))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=CONTENDERS)
    parser.add_argument("--checkpoint", type=Path)
    return parser.parse_args()


def save_base(folder: Path) -> None:
    """An AST of base size with random weights."""
    import torch
    from transformers import ASTConfig, ASTModel

    torch.manual_seed(0)
    ASTModel(ASTConfig()).save_pretrained(folder)


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every step by contender, in turn, and the memory of each in MB."""
    names = arguments.contenders.split(",")
    processes = {name: start(name, arguments) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    memory: dict[str, dict[str, float]] = {}
    for at in range(arguments.repeats + 1):
        for name, process in processes.items():
            answer = ask(process)
            if at:  # the first step finds its memory
                seconds[name].append(answer["seconds"])
            memory[name] = answer["memory"]
    for process in processes.values():
        process.stdin.close()  # type: ignore[union-attr]
        process.wait()
    return {"seconds": seconds, "memory": memory}


def start(name: str, arguments: argparse.Namespace) -> subprocess.Popen[str]:
    from petl_bench.executors.local import worker_environment

    own = worker_environment(arguments.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)} if name == PUBLISHED else own
    given = [f"--{key}={getattr(arguments, key)}" for key in ("frames", "batch", "threads", "checkpoint")]
    command = [sys.executable, "-m", "tests.performance.steps", f"--serve={name}", *given]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
    process.stdout.readline()  # type: ignore[union-attr]
    return process


def ask(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.stdin.write("step\n")  # type: ignore[union-attr]
    process.stdin.flush()  # type: ignore[union-attr]
    answer: dict[str, Any] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
    return answer


def serve(arguments: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(arguments.threads)
    step = published(arguments) if arguments.serve == PUBLISHED else ours(arguments)
    resting = resident("VmRSS")
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        step()
        seconds = time.perf_counter() - started
        memory = {"peak_mb": resident("VmHWM"), "above_rest_mb": resident("VmHWM") - resting}
        print(json.dumps({"seconds": seconds, "memory": memory}), flush=True)


def resident(what: str) -> float:
    """MB of memory: ``VmRSS`` now, ``VmHWM`` at most so far."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def published(arguments: argparse.Namespace) -> Callable[[], object]:
    import torch
    from transformers import ASTConfig, ASTModel

    from tests.performance.reference import build, optimizer_of, step

    torch.manual_seed(0)
    config = ASTConfig.from_pretrained(arguments.checkpoint, max_length=arguments.frames)
    model = ASTModel.from_pretrained(arguments.checkpoint, config=config, ignore_mismatched_sizes=True)
    classifier = build(model, "conformer", 10).train()
    optimizer = optimizer_of(classifier, 5e-3)
    features, targets = torch.randn(arguments.batch, arguments.frames, 128), torch.zeros(arguments.batch).long()
    return lambda: step(classifier, optimizer, features, targets)


def ours(arguments: argparse.Namespace) -> Callable[[], object]:
    """A step of petl-bench's own loop, from the clips' features to the update."""
    import numpy as np

    from petl_bench.backbones.half import halve_frozen
    from petl_bench.plan import Request, choose, make_plan
    from petl_bench.training.inputs import Inputs
    from petl_bench.training.model import Model
    from petl_bench.training.progress import Progress
    from petl_bench.training.run import attached, update
    from petl_bench.workbench import Workbench, opening_of

    request = Request(
        methods=("conformer",),
        dataset="synthetic",
        backbone=str(arguments.checkpoint),
        precision=arguments.serve,
        batch_size=arguments.batch,
        settings=(f"synthetic.features.frames={arguments.frames}",),
    )
    choice = choose(request)
    workbench = Workbench.open(opening_of(request, choice), "cpu")
    run = make_plan(request, choice, workbench.subject)[0]
    backbone, split = workbench.backbone(run.spec), workbench.split(run.spec)
    attached(run, backbone)
    if arguments.serve == "bf16":
        halve_frozen(backbone)
    model = Model(run.spec, backbone, Inputs(run.spec, workbench, split))
    progress = Progress(run.spec, backbone, batches_per_epoch=100)
    backbone.train()
    clips = np.arange(arguments.batch)
    return lambda: update(model, progress, clips, None, masks=0)


def as_text(found: dict[str, Any], arguments: argparse.Namespace) -> str:
    lines = [
        f"{arguments.frames} frames, batch {arguments.batch}, {arguments.threads} threads, {arguments.repeats} steps"
    ]
    first = next(iter(found["seconds"]))
    for name, seconds in found["seconds"].items():
        ratios = [a / b for a, b in zip(found["seconds"][first], seconds, strict=True)]
        speed, memory = arguments.batch / median(seconds), found["memory"][name]
        share = memory["above_rest_mb"] / found["memory"][first]["above_rest_mb"]
        lines.append(
            f"{name:<10} {median(ratios):5.2f}x ({min(ratios):.2f} to {max(ratios):.2f})  {speed:6.2f} clips/s  "
            f"memory above rest {memory['above_rest_mb']:6.0f} MB ({share:.2f}x), in all {memory['peak_mb']:6.0f} MB"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
