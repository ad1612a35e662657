"""From a method's name, as a user writes it, to its card and its code.

Names are, in this order: a path (``card.toml``, ``file.py``, ``file.py:Class``), a card or a ``.py`` file in the
working directory's ``methods/``, a built-in card, the entry point of an installed package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petl_bench.cards import CardFile, MethodCard, card_files, check, find_card, read_card
from petl_bench.errors import UserError, nearest
from petl_bench.registry import METHODS, Implementation

if TYPE_CHECKING:
    from petl_bench.methods.base import Method


@dataclass(frozen=True)
class MethodChoice:
    """A method as the user named it, with its card and its implementation."""

    name: str
    card: MethodCard
    code: str
    implementation: Implementation[Method]
    note: str = ""
    """What the user should know of where it was found."""


def find_method(given: str) -> MethodChoice:
    """Look a name up and load its code. Raises UserError, one line, where there is no such method."""
    if ".py:" in given or given.endswith(".py"):
        return _method_in_code(_absolute(given, Path()))
    known = card_files("methods")
    if given not in known and given in METHODS.plugins:
        return _method_in_code(given, given)
    if given not in known and not given.endswith(".toml"):
        names = sorted({*known, *METHODS.plugins})
        raise UserError(f"unknown method '{given}'{nearest(given, names)}; known: {', '.join(names)}")
    return load_method(find_card("methods", given))


def load_method(file: CardFile) -> MethodChoice:
    """A card with the implementation it names; a path in the card starts at the card's folder."""
    note = f"{file.path} shadows the built-in card '{file.name}'" if file.shadows else ""
    if file.path.suffix == ".py":
        return _method_in_code(str(file.path.resolve()), file.name, note)
    card = read_card(file, MethodCard)
    code = _absolute(card.implementation, file.path.parent)
    try:
        return MethodChoice(file.name, card, code, METHODS.load(code), note)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error


def _method_in_code(code: str, name: str = "", note: str = "") -> MethodChoice:
    """A method without a card of its own: its class says what a card would."""
    implementation = METHODS.load(code)
    cls = implementation.cls
    title = (cls.__doc__ or "").strip().partition("\n")[0] or implementation.name
    card = check(MethodCard, {"implementation": code, "title": title, **cls.card}, f"{code}: card")
    return MethodChoice(name or implementation.name, card, code, implementation, note)


def _absolute(code: str, folder: Path) -> str:
    """``path.py`` or ``path.py:Class`` with its path absolute, seen from ``folder``; a registered name as it is."""
    path, colon, cls = code.partition(".py:")
    if not colon and not code.endswith(".py"):
        return code
    file = path + ".py" if colon else code
    return str((folder / Path(file).expanduser()).resolve()) + (f":{cls}" if colon else "")
