"""Canonical JSON of a settings model, and digests of it: what keys are made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class Introduced:
    """Marks a field that joined a schema later: ``norm: Annotated[str, Introduced("batch")] = "batch"``.

    ``value`` is what older runs had without knowing it. At that value the field is left out of the canonical form, so
    keys made before the field existed stay valid.
    """

    value: Any


def unkeyed_fields(model: BaseModel) -> tuple[str, ...]:
    """The fields that the canonical form leaves out, at the value they were introduced with; nested ones dotted."""
    found: list[str] = []
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if any(isinstance(mark, Introduced) and value == mark.value for mark in field.metadata):
            found.append(name)
        elif isinstance(value, BaseModel):
            found.extend(f"{name}.{inner}" for inner in unkeyed_fields(value))
    return tuple(found)


def canonical(value: Any) -> Any:
    """Plain JSON data of ``value``, with model fields at their introduction value left out."""
    if isinstance(value, BaseModel):
        left_out = unkeyed_fields(value)
        return {name: canonical(getattr(value, name)) for name in type(value).model_fields if name not in left_out}
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def digest(value: Any, length: int = 16) -> str:
    """First ``length`` hexadecimal digits of the SHA-256 of the canonical JSON of ``value``."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings under dotted keys."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{inner}": inner_value for inner, inner_value in flat(value).items()}
        else:
            found[key] = value
    return found
