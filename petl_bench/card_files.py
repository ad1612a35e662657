"""Cards as files: methods say WHAT is compared, benchmarks ON WHAT, sweeps OVER WHAT.

A card is found by its path, in the folder of its kind below the working directory, or among the built-in ones, in this
order.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from petl_bench.cards import BenchmarkCard, Card, MethodCard
from petl_bench.errors import UserError, nearest, unknown
from petl_bench.files import read_text
from petl_bench.sweeps.card import SweepCard

Kind = Literal["methods", "benchmarks", "sweeps"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SCHEMAS: dict[Kind, type[Card]] = {"methods": MethodCard, "benchmarks": BenchmarkCard, "sweeps": SweepCard}
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class CardFile:
    """Where a card of some name was found."""

    name: str
    kind: Kind
    path: Path
    local: bool
    shadows: bool = False
    """A local card that hides a built-in one of its name."""


@cache
def built_in_folder(kind: Kind) -> Path:
    """Folder of the built-in cards: the repository's own in an editable install, else the wheel's package data."""
    package = Path(__file__).resolve().parent
    project = package.parent / "pyproject.toml"
    if project.is_file() and tomllib.loads(project.read_text("utf-8")).get("project", {}).get("name") == "petl-bench":
        return package.parent / kind
    return package / "_cards" / kind


def card_files(kind: Kind) -> dict[str, CardFile]:
    """All cards of a kind by name: those below the working directory first, then the built-in ones.

    Below the working directory a method may also be one ``.py`` file; a card of the same name comes before it.
    """
    found: dict[str, CardFile] = {}
    built_in = built_in_folder(kind)
    for path in sorted(built_in.glob("*.toml")):
        found[path.stem] = CardFile(path.stem, kind, path, local=False)
    local = Path(kind)
    if local.is_dir() and local.resolve() != built_in.resolve():
        built_in_names = set(found)
        files = sorted(local.glob("*.py")) if kind == "methods" else []
        for path in [*files, *sorted(local.glob("*.toml"))]:
            if not path.name.startswith("_"):
                found[path.stem] = CardFile(path.stem, kind, path, local=True, shadows=path.stem in built_in_names)
    return dict(sorted(found.items()))


def find_card(kind: Kind, name: str) -> CardFile:
    """The card called ``name``, or the one at the path ``name``. Raises UserError where there is none."""
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UserError(f"no {kind.removesuffix('s')} card {path}")
        return CardFile(path.stem, kind, path, local=True)
    known = card_files(kind)
    if name not in known:
        elsewhere = "" if Path(kind).is_dir() else f" (no {kind}/ here: a study's own are read from its folder)"
        raise UserError(unknown(kind.removesuffix("s"), name, known) + elsewhere)
    return known[name]


def read_card(file: CardFile, schema: type[Model]) -> Model:
    """Read and check a card. Raises UserError, one line, naming the file and the key."""
    return check(schema, read_toml(file.path), str(file.path))


def check(schema: type[Model], data: dict[str, Any], where: str) -> Model:
    """Validate ``data`` against ``schema``; ``where`` starts the message of the UserError."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{where}: {describe(error, schema)}") from error


def describe(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first problem of a validation error in one line: the key, what was given and what is allowed."""
    first, *others = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        allowed = sorted(_keys_at(schema, first["loc"][:-1]))
        text = f"unknown key '{key}'{nearest(str(first['loc'][-1]), allowed)}; allowed here: {', '.join(allowed)}"
    elif first["type"] == "missing":
        text = f"key '{key}' is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        given = "" if isinstance(first["input"], dict | BaseModel) else f" = {_short(repr(first['input']))}"
        text = f"{key}{given}: {message[0].lower()}{message[1:]}" if key else message
    return _short(text, 600) + more


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's tables. Raises UserError, file named."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error


def _keys_at(schema: type[BaseModel], location: tuple[int | str, ...]) -> Iterator[str]:
    """Keys a card may have at ``location`` below ``schema``."""
    model: type[BaseModel] | None = schema
    for part in location:
        field = next((f for n, f in (model.model_fields if model else {}).items() if part in (n, f.alias)), None)
        if field is not None:
            model = _model_in(field.annotation)
    for name, field in (model.model_fields if model else {}).items():
        yield field.alias or name


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model an annotation holds, through unions and containers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)
