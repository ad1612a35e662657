"""A profile of round numbers, for tests that measure nothing."""

from __future__ import annotations

from petl_bench.profiling.profiles import Conditions, Costs, Machine, Profile, StepSplit


def example(key: str, method: str = "linear", **costs: object) -> Profile:
    """The profile of a cost key; ``costs`` are other figures of it."""
    conditions = Conditions(
        method=method,
        benchmark="synthetic",
        backbone="mini",
        frames=100,
        bins=128,
        class_count=10,
        precision="fp32",
        batch_size=32,
        wanted_batch_size=32,
        repeats=5,
    )
    figures = Costs(
        num_trainable_params=1546,
        num_total_params=1_229_440,
        parameters={"adapter": 0, "bias": 0, "norm": 256, "head": 1290, "backbone": 0},
        redundant_parameters=0,
        published_count=0,
        forward_gflops_per_clip=0.125,
        training_gflops_per_clip=0.25,
        training_clips_per_second=160.0,
        inference_clips_per_second=320.0,
        step_ms=200.0,
        step_split_ms=StepSplit(data=20, forward=80, backward=90, optimizer=10),
        step_split_share=StepSplit(data=0.1, forward=0.4, backward=0.45, optimizer=0.05),
        every_step_ms=(200.0,),
        peak_memory_bytes=500 * 2**20,
        step_memory_bytes=30 * 2**20,
        matmul_gflops_per_second=80.0,
        share_of_matmul=0.5,
    )
    return Profile(
        cost_key=key,
        created_at="2026-01-02T03:04:05+00:00",
        conditions=conditions,
        costs=figures.model_copy(update=costs),
        machine=Machine(device="cpu", threads=2, torch="2.13.0", platform="Linux"),
    )
