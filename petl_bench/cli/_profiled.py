"""What ``profile`` prints: costs, where a step's time goes, in 80 columns; and the notes a reader needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from petl_bench.cli._layout import Columns, Row, grid, note, say
from petl_bench.leaderboard.pages import thousands
from petl_bench.plan import Plan
from petl_bench.profiling.profiles import Profile, StepSplit
from petl_bench.profiling.wording import COSTS, READING, Data, figure, megabytes
from petl_bench.switches import describe_switches, profile_of
from petl_bench.wording import count

Outcomes = Sequence[tuple[str, Profile | str]]
"""Methods with their profile, or why there is none."""
UNEVEN = 1.5
"""A step so many times longer than the median is spoken of."""


def print_json(outcomes: Outcomes) -> None:
    """Everything that was measured, units in the names, and what failed."""
    profiles = [its.model_dump(mode="json") for _, its in outcomes if isinstance(its, Profile)]
    failed = [{"method": method, "error": its} for method, its in outcomes if isinstance(its, str)]
    print(json.dumps({"profiles": profiles, "failed": failed}, indent=2))


def print_profiles(plan: Plan, outcomes: Outcomes, remarks: Sequence[str]) -> None:
    """Two tables and what to know of them."""
    rows = [_row(method, outcome) for method, outcome in outcomes]
    line = f"{plan[0].benchmark}, backbone {plan[0].backbone}: costs"
    if (switches := profile_of(plan[0].spec.switches)) != "corrected":
        line += f", profile {switches}"
    say(line)
    grid(rows, _costs(), head="method")
    print("a training step, ms and share")
    grid(rows, _steps(), head="method")
    profiles = [its for _, its in outcomes if isinstance(its, Profile)]
    failed = [f"{method} failed: {its}" for method, its in outcomes if isinstance(its, str)]
    for text in [*failed, *_conditions(plan, profiles), *remarks]:
        note(text)


def _row(method: str, outcome: Profile | str) -> Row:
    return {"method": method, "profile": outcome.model_dump(mode="json") if isinstance(outcome, Profile) else None}


def _costs() -> Columns:
    columns = {"trained": lambda profile: thousands(_adapted(profile["costs"])), **COSTS}
    return {head.replace(" ", "\n"): _where_measured(cell) for head, cell in columns.items()}


def _adapted(costs: Data) -> int:
    return int(costs["num_trainable_params"] - costs["parameters"]["head"])


def _steps() -> Columns:
    columns: dict[str, Callable[[Data], str]] = {
        "step": lambda profile: figure(profile["costs"]["step_ms"]),
        **{part: _part_cell(part) for part in StepSplit.model_fields},
        "adds MB": lambda profile: megabytes(profile["costs"]["step_memory_bytes"]),
    }
    return {head: _where_measured(cell) for head, cell in columns.items()}


def _part_cell(part: str) -> Callable[[Data], str]:
    def cell(profile: Data) -> str:
        ms, share = (profile["costs"][f"step_split_{unit}"][part] for unit in ("ms", "share"))
        return f"{figure(ms)} {100 * share:3.0f}%"

    return cell


def _where_measured(cell: Callable[[Data], str]) -> Callable[[Row], str]:
    """A row without a profile has dashes."""
    return lambda row: cell(row["profile"]) if row["profile"] else "-"


def _conditions(plan: Plan, profiles: Sequence[Profile]) -> list[str]:
    """What was measured and where, and what the figures mean."""
    notes, spec = [], plan[0].spec
    if profile_of(spec.switches) == "custom":
        notes.append(f"profile custom: {describe_switches(spec.switches)}")
    for profile in profiles[:1]:
        machine, peak = profile.machine, profile.costs.matmul_gflops_per_second
        notes.append(
            f"{profile.conditions.frames} frames, batch {spec.training.batch_size}, {spec.training.precision}, "
            f"median of {count(profile.conditions.repeats, 'step')}; on {machine.device}, "
            f"{count(machine.threads, 'thread')}, torch {machine.torch}; peak {figure(peak)} GFLOP/s"
        )
    notes += [text for profile in profiles for text in _about(profile)]
    return [
        *notes,
        "trained: all but the head",
        *READING,
        "adds: memory above what was in use before the first step",
        "every clip goes the whole way here; a run keeps what untouched layers make of it, and may be faster",
    ]


def _about(profile: Profile) -> list[str]:
    """What is special about a method's figures."""
    its, costs, notes = profile.conditions, profile.costs, []
    if its.batch_size < its.wanted_batch_size:
        notes.append(f"{its.method}: a batch of {its.batch_size} for want of memory")
    if (slowest := max(costs.every_step_ms)) > UNEVEN * costs.step_ms:
        notes.append(f"{its.method}: a step took up to {figure(slowest)} ms: was the machine busy?")
    if redundant := costs.redundant_parameters:
        notes.append(f"{its.method}: {count(redundant, 'parameter')} trained, but unable to change a training loss")
    return notes
