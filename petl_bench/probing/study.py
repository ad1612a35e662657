"""The sweep card that asks whether the layers a probe prefers are the ones to adapt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petl_bench.backbones.sites import Geometry
from petl_bench.errors import UserError
from petl_bench.lookup import MethodChoice
from petl_bench.methods.placement import select_layers
from petl_bench.probing.card import criterion, layer_setting, listed
from petl_bench.probing.probe import Criterion, Probe
from petl_bench.probing.toml import comment, toml
from petl_bench.registry import BACKBONES
from petl_bench.seeds import derive_seed
from petl_bench.settings import resolve_settings
from petl_bench.switches import Switches

RANDOM_DRAWS = 2
SIZES = ("reduction_rate", "rank")
"""Settings that make a method's adapters larger or smaller."""
NEAR = 0.25
"""How far, as a part of the chosen layers' parameters, those of all layers may be off and still count as as many."""


@dataclass(frozen=True)
class Subject:
    """What a study is of, as a user names it, and what is known of it."""

    method: str
    dataset: str
    backbone: str
    geometry: Geometry
    folds: int = 1


def study_text(method: MethodChoice, subject: Subject, found: Probe, layers: Sequence[int], by: Criterion) -> str:
    """Chosen layers against the first, the last, random ones and all, the last also with as many parameters.

    Of arms that adapt the same layers only the first stands. Cards and folders are named so that they are found from
    anywhere.
    """
    count, depth, key = len(layers), len(found.depths) - 1, layer_setting(method)
    probed, ends = f"probe: {listed(layers)}", str(count) if count > 1 else ""
    candidates: list[tuple[str, str | list[int]]] = [
        (probed, list(layers)),
        (f"first {ends}".strip(), f"first:{count}"),
        (f"last {ends}".strip(), f"last:{count}"),
        ("all", "all"),
    ]
    drawn = {select_layers(_selection(chosen), depth) for _, chosen in candidates}
    draws = [(f"random: {listed(draw)}", draw) for draw in _draws(count, depth, found, drawn)]
    arms: dict[str, dict[str, object]] = {}
    seen: set[tuple[int, ...]] = set()
    for name, chosen in [*candidates[:3], *draws, candidates[3]]:
        if (selected := select_layers(_selection(chosen), depth)) not in seen:
            arms[name] = {key: chosen}
            seen.add(selected)
    notes = []
    if count < depth:
        spared, said = _as_few(method, subject, found, layers)
        notes.append(said)
        if spared:
            arms["all, as many parameters"] = {key: "all", **spared}
    if subject.folds > 1:
        notes.append("layers were chosen on validation clips, which are test clips of other folds")
    reason = criterion(by, count)
    title = f"Are the {count} layers {reason} the ones to adapt?" if count > 1 else f"Is the layer {reason} the one?"
    lines = [
        "# Code: petl_bench/sweeps/card.py",
        *map(comment, notes),
        f"title = {toml(title)}",
        f"benchmarks = {toml([_from_anywhere(subject.dataset)])}",
        f"methods = {toml([_from_anywhere(subject.method)])}",
        f"backbone = {toml(_folder_from_anywhere(subject.backbone))}",
        "seeds = [0, 1, 2]",
        f"notes = {toml(notes)}",
        "",
        "[grid]",
        "",
        *(line for arm, settings in arms.items() for line in _arm(arm, settings)),
        "[question]",
        f"baseline = {{ arm = {toml(probed)} }}",
    ]
    return "\n".join(lines) + "\n"


def _selection(chosen: str | list[int]) -> str | tuple[int, ...]:
    return chosen if isinstance(chosen, str) else tuple(sorted(chosen))


def _draws(count: int, depth: int, found: Probe, others: set[tuple[int, ...]]) -> list[list[int]]:
    """Random choices of so many layers, drawn from the probe's conditions; no two alike, none one of the others."""
    draws: list[list[int]] = []
    for at in range(10 * RANDOM_DRAWS):
        generator = np.random.default_rng(derive_seed("random layers", found.benchmark, found.backbone, count, at))
        drawn = sorted(map(int, generator.permutation(depth)[:count]))
        if drawn not in draws and tuple(drawn) not in others and len(draws) < RANDOM_DRAWS:
            draws.append(drawn)
    return draws


def _as_few(
    method: MethodChoice, subject: Subject, found: Probe, layers: Sequence[int]
) -> tuple[dict[str, object], str]:
    """Settings that give all layers together as many adapter parameters as the chosen ones, and a note with both.

    Of all values of the setting that fit the backbone it is the one whose count is nearest. Norms are not counted. No
    settings where the method has none or nothing is near.
    """
    key = layer_setting(method)

    def parameters(settings: dict[str, Any]) -> int | None:
        """None where the settings do not fit or no formula is stated."""
        try:
            config = resolve_settings(method, found.benchmark, found.backbone, settings)[0]
            built = method.implementation.cls(config, Switches(train_norms=False))
            built.check(subject.geometry)
        except (UserError, ValueError):
            return None
        return built.expected_parameters(subject.geometry, 0)

    wanted = parameters({key: list(layers)})
    fields = method.implementation.cls.Config.model_fields
    size = next((name for name in SIZES if name in fields), None)
    if wanted is None or size is None:
        lacking = "has no size to set" if size is None else "does not say how many parameters it has here"
        return {}, f"no arm has all layers with as many adapter parameters: {method.name} {lacking}"
    values = range(1, subject.geometry.hidden_size + 1)
    counts = {value: own for value in values if (own := parameters({key: "all", size: value})) is not None}
    best = min(counts, key=lambda value: abs(counts[value] - wanted), default=None)
    chosen = f"the chosen layer{'s' * (len(layers) > 1)} {'have' if len(layers) > 1 else 'has'} {wanted:,}"
    if best is None or abs(counts[best] - wanted) > NEAR * wanted:
        least = "" if best is None else f", the nearest count of all layers is {counts[best]:,} ({size} = {best})"
        return {}, f"no arm has all layers with as many adapter parameters: {chosen}{least}"
    return {size: best}, (
        f"as many parameters: {counts[best]:,} of adapters in all layers ({size} = {best}), {chosen}; more layers "
        "train more norms beside them"
    )


def _arm(name: str, settings: dict[str, object]) -> Iterator[str]:
    yield f"[arms.{toml(name)}]"
    yield from (f"{key} = {toml(value)}" for key, value in settings.items())
    yield ""


def _from_anywhere(given: str) -> str:
    """A card's name as it is, a path (``card.toml``, ``code.py``, ``code.py:Class``) from the root."""
    path, colon, name = given.partition(":") if ".py:" in given else (given, "", "")
    return f"{Path(path).expanduser().resolve()}{colon}{name}" if path.endswith((".toml", ".py")) else given


def _folder_from_anywhere(backbone: str) -> str:
    """A bundled or hub name as it is, a folder from the root."""
    folder = Path(backbone).expanduser()
    return str(folder.resolve()) if backbone not in BACKBONES.names() and folder.is_dir() else backbone
