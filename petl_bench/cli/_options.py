"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from petl_bench.errors import UserError

Results = Annotated[Path, typer.Option(help="Results folder.", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_numbers(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers and ranges, ``0,1,2`` or ``0-4``, each once, in the order given. Raises UserError."""
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if match is None:
            raise UserError(f"{option} {text}: give whole numbers, as in 0,1,2 or 0-2")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + 10_000:
            raise UserError(f"{option} {text}: '{part.strip()}' is no range from low to high")
        numbers.extend(range(first, last + 1))
    return tuple(dict.fromkeys(numbers))


def read_names(option: str, text: str) -> tuple[str, ...]:
    """Names between commas, each once. Raises UserError where one is empty."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UserError(f"{option} '{text}': give names between commas, as in conformer,lora")
    return tuple(dict.fromkeys(names))


def count(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
