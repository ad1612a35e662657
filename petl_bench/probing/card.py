"""The method card that adapts chosen layers, ready to be run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from petl_bench.cards import Optimizer
from petl_bench.errors import UserError
from petl_bench.lookup import MethodChoice
from petl_bench.probing.probe import CRITERIA, Criterion, Probe
from petl_bench.probing.toml import comment, toml
from petl_bench.settings import settings_of_card


def layer_setting(method: MethodChoice) -> str:
    """The dotted hyperparameter that names a method's layers. Raises UserError where it has none."""
    fields = method.implementation.cls.Config.model_fields
    if "placement" in fields:
        return "placement.layers"
    if "layers" in fields:
        return "layers"
    raise UserError(f"--method {method.name}: it has no layers to choose; conformer, bottleneck and lora have")


def criterion(by: Criterion, count: int) -> str:
    """What so many layers were chosen for, as goes on from "layer" or "layers"."""
    one, several = CRITERIA[by]
    return several if count > 1 else one


def card_text(method: MethodChoice, found: Probe, layers: Sequence[int], by: Criterion) -> str:
    """A card of the method as it would be run on the probe's benchmark and backbone, in these layers."""
    said = settings_of_card(method.card, found.benchmark, found.backbone)
    recipe = {**method.card.optimizer.model_dump(mode="json", exclude_unset=True), **_of(said, optimizer=True)}
    hyperparameters = {**_of(said, optimizer=False), layer_setting(method): list(layers)}
    code = method.code if method.code.endswith(".py") or ".py:" in method.code else method.implementation.name
    noun = "layers" if len(layers) > 1 else "layer"
    lines = [
        comment(f"Code: {_code_file(method)}"),
        comment(f"{noun.capitalize()} {criterion(by, len(layers))}, by a linear probe of {found.backbone}"),
        comment(
            f"on the validation clips of {found.benchmark}: seeds {listed(found.seeds)}, folds {listed(found.folds)}."
        ),
        f"implementation = {toml(code)}",
        f"title = {toml(f'{method.card.title}, {noun} {listed(layers)} alone')}",
        *([f"paper = {toml(method.card.paper)}"] if method.card.paper else []),
        "",
        "[hyperparameters]",
        *(f"{key} = {toml(value)}" for key, value in hyperparameters.items()),
    ]
    if recipe:
        lines += ["", "[optimizer]", *(f"{key} = {toml(value)}" for key, value in recipe.items())]
    return "\n".join(lines) + "\n"


def _of(said: dict[str, Any], *, optimizer: bool) -> dict[str, Any]:
    """Those of a card's settings that are the optimizer's, or the others."""
    return {key: value for key, value in said.items() if (key in Optimizer.model_fields) == optimizer}


def _code_file(method: MethodChoice) -> str:
    module: str = method.implementation.cls.__module__
    return f"{module.replace('.', '/')}.py" if module.startswith("petl_bench.") else method.code.partition(":")[0]


def listed(numbers: Sequence[int]) -> str:
    """Numbers as a sentence has them."""
    return ", ".join(map(str, numbers))
