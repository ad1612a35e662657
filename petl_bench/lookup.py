"""From a method's name, as a user writes it, to its card and its code.

Names are, in this order: a path (``card.toml``, ``file.py``, ``file.py:Class``), a card or a ``.py`` file in the
working directory's ``methods/``, a built-in card, the entry point of an installed package. ``peft:lora`` names a tuner
of another library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petl_bench.card_files import CardFile, card_files, check, find_card, read_card
from petl_bench.cards import MethodCard
from petl_bench.errors import UserError, unknown
from petl_bench.registry import METHODS, Implementation, source_of

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
    if METHODS.is_bridged(given):
        return _method_in_code(given, given)
    known, plugins = card_files("methods"), METHODS.plugins
    if given not in known and given in plugins:
        return _method_in_code(given, given)
    if given not in known and not given.endswith(".toml"):
        raise UserError(unknown("method", given, sorted({*known, *plugins})))
    return load_method(find_card("methods", given))


def own_code(implementation: str, source: str) -> str | None:
    """The class in the file of the working directory's ``methods/`` that a hash names, whatever the file is called."""
    for path in sorted(Path("methods").glob("*.py")):
        if path.is_file() and source_of(path) == source:
            return f"{path}:{implementation}"
    return None


def load_method(file: CardFile) -> MethodChoice:
    """A card with the implementation it names; a path in the card starts at the card's folder."""
    note = f"{file.path} shadows the built-in card '{file.name}'" if file.shadows else ""
    if file.name in METHODS.plugins:
        note = f"{file.path} comes before the method of that name of {METHODS.origin(file.name)}"
    if file.path.suffix == ".py":
        return _method_in_code(str(file.path.resolve()), file.name, note)
    card = read_card(file, MethodCard)
    code = _absolute(card.implementation, file.path.parent)
    try:
        return MethodChoice(file.name, card, code, _loaded(code), note)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error


def _method_in_code(code: str, name: str = "", note: str = "") -> MethodChoice:
    """A method without a card of its own: its class says what a card would."""
    implementation = _loaded(code)
    cls = implementation.cls
    title = (cls.__doc__ or "").strip().partition("\n")[0] or implementation.name
    card = check(MethodCard, {"implementation": code, "title": title, **cls.card}, f"{code}: card")
    return MethodChoice(name or implementation.name, card, code, implementation, note)


def _loaded(code: str) -> Implementation[Method]:
    """The class behind a name or a path, with the Config and card that a method must have."""
    from petl_bench.methods.base import MethodConfig

    implementation: Implementation[Method] = METHODS.load(code)
    config, card = implementation.cls.Config, implementation.cls.card
    if not (isinstance(config, type) and issubclass(config, MethodConfig)):
        raise UserError(f"method '{code}': its Config is not a subclass of petl_bench.MethodConfig")
    if not (isinstance(card, dict) and all(isinstance(key, str) for key in card)):
        raise UserError(f"method '{code}': its card is not a dict of a card's keys")
    return implementation


def _absolute(code: str, folder: Path) -> str:
    """``path.py`` or ``path.py:Class`` with its path absolute, seen from ``folder``; a registered name as it is."""
    path, colon, cls = code.partition(".py:")
    if not colon and not code.endswith(".py"):
        return code
    file = path + ".py" if colon else code
    return str((folder / Path(file).expanduser()).resolve()) + (f":{cls}" if colon else "")
