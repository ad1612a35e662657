"""Settings of methods and benchmarks: how values of cards, ``--set`` and flags come together. Free of torch.

Keys are dotted where settings are nested: ``placement.location``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from petl_bench.canonical import flat
from petl_bench.card_files import check
from petl_bench.cards import MethodCard, Optimizer
from petl_bench.errors import UserError, nearest

if TYPE_CHECKING:
    from petl_bench.lookup import MethodChoice
    from petl_bench.methods.base import MethodConfig


def check_targets(assignments: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a ``--set NAME.KEY=VALUE`` that is malformed or names none of ``names``."""
    for assignment in assignments:
        target, value = assignment.partition("=")[::2]
        name, _, key = target.strip().partition(".")
        if not (key and value):
            raise UserError(f"--set '{assignment}': give NAME.KEY=VALUE, for example conformer.kernel_size=31")
        if not any(target.strip().startswith(f"{known}.") for known in names):
            allowed = f"{nearest(name, names)}; allowed: {', '.join(names)}"
            raise UserError(f"--set '{assignment}': '{name}' is no part of this run{allowed}")


def assigned(assignments: Sequence[str], name: str) -> dict[str, Any]:
    """What ``NAME.KEY=VALUE`` assignments say of one name, by key."""
    found = {}
    for assignment in assignments:
        target, value = (part.strip() for part in assignment.split("=", 1))
        if target.startswith(f"{name}."):
            found[target.removeprefix(f"{name}.")] = parse_value(value)
    return found


def parse_value(text: str) -> Any:
    """A TOML value, or the text itself where it is a bare word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def put(data: dict[str, Any], settings: Mapping[str, Any], where: str) -> None:
    """Set dotted keys in nested tables. Raises UserError where a key leads through a value."""
    for key, value in flat(settings).items():
        place = data
        *path, last = key.split(".")
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise UserError(f"{where}: '{part}' holds a value, not keys")
        place[last] = value


def settings_of_card(card: MethodCard, benchmark: str, backbone: str) -> dict[str, Any]:
    """What a card says for a benchmark and a backbone, by dotted key; without its optimizer.

    ``[for.BENCHMARK]`` before ``[for.BACKBONE]`` before the rest.
    """
    said = {**flat(card.hyperparameters), **flat(card.overrides.get(backbone, {}))}
    return {**said, **flat(card.overrides.get(benchmark, {}))}


def setting_names(schema: type[BaseModel]) -> Iterator[str]:
    """Names of a Config's settings, those of a nested model dotted."""
    for name, field in schema.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in setting_names(field.annotation))
        else:
            yield name


def resolve_settings(
    choice: MethodChoice, benchmark: str, backbone: str, given: Mapping[str, Any]
) -> tuple[MethodConfig, Optimizer]:
    """Config and optimizer of a method: ``given`` before all that its card says for benchmark and backbone.

    Raises UserError, naming method, setting and what is allowed.
    """
    settings: dict[str, Any] = {}
    put(settings, settings_of_card(choice.card, benchmark, backbone), choice.name)
    put(settings, given, choice.name)
    schema = choice.implementation.cls.Config
    if both := sorted(schema.model_fields.keys() & Optimizer.model_fields.keys()):
        raise UserError(f"{choice.name}: the Config names '{both[0]}', which is the optimizer's: rename it")
    allowed = [*schema.model_fields, *Optimizer.model_fields]
    for key in settings:
        if key not in allowed:
            raise UserError(
                f"{choice.name} has no setting '{key}'{nearest(key, allowed)}; allowed: {', '.join(allowed)}"
            )
    of_optimizer = {key: value for key, value in settings.items() if key in Optimizer.model_fields}
    optimizer = check(Optimizer, {**choice.card.optimizer.model_dump(), **of_optimizer}, choice.name)
    config = check(schema, {key: value for key, value in settings.items() if key not in of_optimizer}, choice.name)
    return config, optimizer
