"""Profiles in words and cells, for terminal and pages alike; they are taken as plain data. Free of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Data = dict[str, Any]
MEGABYTE = 2**20
COSTS: dict[str, Callable[[Data], str]] = {
    "GFLOPs forward": lambda profile: figure(profile["costs"]["forward_gflops_per_clip"]),
    "GFLOPs training": lambda profile: figure(profile["costs"]["training_gflops_per_clip"]),
    "clips/s training": lambda profile: figure(profile["costs"]["training_clips_per_second"]),
    "clips/s inference": lambda profile: figure(profile["costs"]["inference_clips_per_second"]),
    "memory, MB": lambda profile: megabytes(profile["costs"]["peak_memory_bytes"]),
    "of peak": lambda profile: f"{100 * profile['costs']['share_of_matmul']:.1f}%",
}
"""Columns of a table of costs: heading and cell."""
READING = (
    "GFLOPs: of one clip, a multiply-add is 2 FLOPs; in training forward and backward",
    "memory: the most in use while training, by the process on a CPU, by tensors on a GPU",
    "of peak: training GFLOPs x clips/s over what a large matrix multiplication reaches on the machine",
)
"""What the columns say."""


def cost_list(profile: Data) -> list[list[str]]:
    """Names and values of what was measured."""
    costs = profile["costs"]
    split = ", ".join(f"{part} {100 * share:.0f}%" for part, share in costs["step_split_share"].items())
    forward, training = (figure(costs[f"{passes}_gflops_per_clip"]) for passes in ("forward", "training"))
    lines = [
        ["forward", f"{forward} GFLOPs per clip"],
        ["training", f"{training} GFLOPs per clip, {figure(costs['training_clips_per_second'])} clips/s"],
        ["inference", f"{figure(costs['inference_clips_per_second'])} clips/s"],
        ["step", f"{figure(costs['step_ms'])} ms: {split}"],
        ["memory", f"{megabytes(costs['peak_memory_bytes'])} MB, {megabytes(costs['step_memory_bytes'])} by steps"],
        ["of peak", f"{COSTS['of peak'](profile)} of {figure(costs['matmul_gflops_per_second'])} GFLOP/s"],
        ["on", measured_on(profile)],
    ]
    return [line for line in lines if line[0] != "memory" or costs["peak_memory_bytes"] is not None]


def measured_on(profile: Data) -> str:
    """Machine, batch and day."""
    machine, conditions = profile["machine"], profile["conditions"]
    threads = f", {machine['threads']} threads" if machine["device"] == "cpu" else ""
    return f"{machine['device']}{threads}, batch {conditions['batch_size']}, {profile['created_at'][:10]}"


def figure(value: float) -> str:
    """Three significant digits, or all before the point: 0.0712, 1.23, 45.6, 1,234."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}"


def megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / MEGABYTE:,.0f}"
