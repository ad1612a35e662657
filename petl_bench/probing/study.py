"""The sweep card that asks whether the layers a probe prefers are the ones to adapt."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from petl_bench.lookup import MethodChoice
from petl_bench.probing.card import layer_setting
from petl_bench.probing.probe import CRITERIA, Criterion, Probe
from petl_bench.seeds import derive_seed
from petl_bench.settings import resolve_settings

RANDOM_DRAWS = 2


def study_text(method: MethodChoice, given: str, found: Probe, layers: Sequence[int], by: Criterion) -> str:
    """Chosen layers against the first, the last, random ones and all, the last also with as many parameters.

    ``given`` is how the user named the method.
    """
    count, depth, key = len(layers), len(found.depths) - 1, layer_setting(method)
    arms: dict[str, dict[str, object]] = {_probed(layers): {key: list(layers)}}
    arms[f"first {count}"] = {key: f"first:{count}"}
    arms[f"last {count}"] = {key: f"last:{count}"}
    for draw in _draws(count, depth, found):
        arms[f"random: {_listed(draw)}"] = {key: draw}
    arms["all"] = {key: "all"}
    if spared := _as_few(method, found, count, depth):
        arms["all, as many parameters"] = {key: "all", **spared}
    lines = [
        "# Code: petl_bench/sweeps/card.py",
        f"title = {json.dumps(f'Are the {count} layers {CRITERIA[by]} the ones to adapt?')}",
        f"benchmarks = {json.dumps([found.benchmark])}",
        f"methods = {json.dumps([given])}",
        f"backbone = {json.dumps(found.backbone)}",
        "seeds = [0, 1, 2]",
        'notes = ["as many parameters: of adapters alone; more layers train more norms beside them",',
        '  "layers were chosen on validation clips, which are test clips of other folds"]',
        "",
        "[grid]",
        "",
        *(line for arm, settings in arms.items() for line in _arm(arm, settings)),
        "[question]",
        f"baseline = {{ arm = {json.dumps(_probed(layers))} }}",
    ]
    return "\n".join(lines) + "\n"


def _probed(layers: Sequence[int]) -> str:
    return f"probe: {_listed(layers)}"


def _draws(count: int, depth: int, found: Probe) -> list[list[int]]:
    """Random choices of so many layers, drawn from the probe's conditions; no two alike."""
    draws: list[list[int]] = []
    for at in range(10 * RANDOM_DRAWS):
        generator = np.random.default_rng(derive_seed("random layers", found.benchmark, found.backbone, count, at))
        drawn = sorted(map(int, generator.permutation(depth)[:count]))
        if drawn not in draws and len(draws) < RANDOM_DRAWS:
            draws.append(drawn)
    return draws


def _as_few(method: MethodChoice, found: Probe, count: int, depth: int) -> dict[str, object]:
    """Settings that give all layers together about as many adapter parameters; none where a method has no such."""
    config = resolve_settings(method, found.benchmark, found.backbone, {})[0]
    if (rate := getattr(config, "reduction_rate", None)) is not None:
        return {"reduction_rate": round(rate * depth / count)}
    if (rank := getattr(config, "rank", None)) is not None:
        return {"rank": max(1, round(rank * count / depth))}
    return {}


def _arm(name: str, settings: dict[str, object]) -> list[str]:
    return [f"[arms.{json.dumps(name)}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items()), ""]


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
