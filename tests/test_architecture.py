"""Docs, Architecture: rooms import what the page allows, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "petl_bench"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
RULES = {room: set(re.findall(r"`(\w+)`", allowed)) for room, allowed in re.findall(r"(?m)^\| `(\w+)` \|(.*)\|$", PAGE)}
ROOMS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def imported(file: Path) -> Iterator[str]:
    """Modules that a file imports anywhere, ``petl_bench.stats.engine`` for example."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_of(files: Iterator[Path]) -> set[str]:
    parts = [name.split(".") for file in files for name in imported(file)]
    return {part[1] for part in parts if part[0] == "petl_bench" and len(part) > 1} & ROOMS


@pytest.mark.parametrize("room", RULES)
def test_a_room_imports_what_the_page_allows(room: str) -> None:
    assert rooms_of((PACKAGE / room).rglob("*.py")) - {room} == RULES[room]


def test_nothing_imports_the_command_line() -> None:
    files = (file for file in PACKAGE.rglob("*.py") if "cli" not in file.parts and file.name != "__main__.py")
    assert "cli" not in rooms_of(files)


def test_methods_know_no_model_of_transformers() -> None:
    assert not [
        name for file in (PACKAGE / "methods").glob("*.py") for name in imported(file) if "transformers" in name
    ]
