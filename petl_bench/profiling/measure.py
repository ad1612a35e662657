"""The profile of one method, measured in the process that calls: best a fresh one, as memory is that of a process."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any, TypeVar

import torch

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.half import halve_frozen
from petl_bench.benchmarks.splits import Split
from petl_bench.plan import PlannedRun
from petl_bench.profiling.flops import forward_flops, training_flops
from petl_bench.profiling.memory import Memory, peak_memory
from petl_bench.profiling.profiles import Conditions, Costs, Machine, Profile, StepSplit
from petl_bench.profiling.steps import Steps
from petl_bench.runspec import RunSpec
from petl_bench.training.inputs import Inputs
from petl_bench.training.memory import is_out_of_memory
from petl_bench.training.recording import counts_of, surroundings
from petl_bench.training.run import attached, seeded
from petl_bench.workbench import Opening, Workbench

COUNTED_CLIPS = 2
"""Clips that operations are counted on: a BatchNorm wants more than one value."""
WARM_UP_STEPS = 2
"""The first makes what the optimizer keeps, so memory is at its highest in the second."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class ProfileRequest:
    """What is to be measured, on what. ``matmul``: what the machine reaches, in GFLOP/s."""

    planned: PlannedRun
    opening: Opening
    device: str
    threads: int
    repeats: int
    matmul: float


@dataclass(frozen=True)
class Timings:
    """Seconds: of every training step by part, and of the median inference step; and the memory of training."""

    steps: Sequence[Mapping[str, float]]
    inference: float
    memory: Memory


def measure(request: ProfileRequest) -> Profile:
    """Count, time and weigh one method; of a batch that does not fit into memory, half is tried."""
    torch.set_num_threads(request.threads)
    planned, spec = request.planned, request.planned.spec
    workbench = Workbench.open(request.opening, request.device)
    backbone, split = workbench.backbone(spec), workbench.split(spec)
    inputs = Inputs(spec, workbench, split)
    method = attached(planned, backbone)
    backbone.to(workbench.device)
    gflops = _count(backbone, inputs, split)
    if spec.training.precision == "bf16":
        halve_frozen(backbone)

    def timed(clips: int) -> Timings:
        return _time(spec, backbone, Steps(spec, backbone, inputs, split, clips), request.repeats)

    wanted = spec.training.micro_batch_size or spec.training.batch_size
    timings, clips = largest_that_fits(timed, wanted)
    features = spec.data.features
    return Profile(
        cost_key=spec.cost_key(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        conditions=Conditions(
            method=planned.method,
            benchmark=planned.benchmark,
            backbone=planned.backbone,
            frames=features.frames,
            bins=features.bins,
            class_count=spec.data.class_count,
            precision=spec.training.precision,
            batch_size=clips,
            wanted_batch_size=wanted,
            repeats=request.repeats,
        ),
        costs=Costs(**counts_of(method, backbone), **gflops, **_rates(timings, clips, gflops, request.matmul)),
        machine=Machine(**surroundings(workbench.device), torch=torch.__version__, platform=platform.platform()),
    )


def largest_that_fits(work: Callable[[int], Result], clips: int) -> tuple[Result, int]:
    """What comes of ``work(clips)``, and the number of clips, which is halved while memory runs out."""
    while True:
        try:
            return work(clips), clips
        except Exception as error:
            if clips == 1 or not is_out_of_memory(error):
                raise
        clips = (clips + 1) // 2  # here nothing holds on to what was made by then
        torch.cuda.empty_cache()


def _count(backbone: Backbone, inputs: Inputs, split: Split) -> dict[str, Any]:
    """GFLOPs of a clip. These are also the first passes, which load what libraries load late."""
    clips = split.train[:1].repeat(COUNTED_CLIPS)
    features, targets = inputs.features(clips), inputs.targets_of(clips)
    backbone.train()
    passes = {
        "forward_gflops_per_clip": forward_flops(backbone, features),
        "training_gflops_per_clip": training_flops(backbone, features, targets),
    }
    return {name: flops / COUNTED_CLIPS / 1e9 for name, flops in passes.items()}


def _time(spec: RunSpec, backbone: Backbone, steps: Steps, repeats: int) -> Timings:
    """Training steps, then inference steps, each after a warm-up."""
    warm_up, timed = range(WARM_UP_STEPS), range(WARM_UP_STEPS, WARM_UP_STEPS + repeats)
    backbone.train()
    with seeded(spec, "dropout", 1):
        memory = peak_memory(lambda: [steps.train(number) for number in warm_up], steps.inputs.device)
        trained = [steps.train(number) for number in timed]
    backbone.eval()
    for number in warm_up:
        steps.infer(number)
    return Timings(trained, median(steps.infer(number) for number in timed), memory)


def _rates(timings: Timings, clips: int, gflops: Mapping[str, float], matmul: float) -> dict[str, Any]:
    """Figures of the training step of median length (of two in the middle the shorter), whose parts add up to it."""
    in_order = sorted(timings.steps, key=lambda parts: sum(parts.values()))
    parts = {part: 1000 * seconds for part, seconds in in_order[(len(in_order) - 1) // 2].items()}
    step = sum(parts.values())
    speed = clips / step * 1000
    return {
        "training_clips_per_second": _digits(speed),
        "inference_clips_per_second": _digits(clips / timings.inference),
        "step_ms": _digits(step),
        "step_split_ms": StepSplit(**{part: _digits(its) for part, its in parts.items()}),
        "step_split_share": StepSplit(**{part: _digits(its / step) for part, its in parts.items()}),
        "every_step_ms": tuple(_digits(1000 * sum(its.values())) for its in timings.steps),
        "peak_memory_bytes": timings.memory.peak,
        "step_memory_bytes": timings.memory.added,
        "matmul_gflops_per_second": _digits(matmul),
        "share_of_matmul": _digits(gflops["training_gflops_per_clip"] * speed / matmul),
    }


def _digits(value: float) -> float:
    """Six significant digits, more than a clock gives."""
    return float(f"{value:.6g}")
