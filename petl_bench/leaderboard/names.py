"""Names of configurations, from cards as they are now: a row is called after the card that its runs equal.

Torch-free: the defaults in a method's code are not known here, so a record says which of its settings are not defaults;
a card must say these, and what else it says must be what was resolved.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from petl_bench.canonical import flat
from petl_bench.card_files import CardFile, card_files, read_card
from petl_bench.cards import MethodCard, Optimizer
from petl_bench.errors import UserError
from petl_bench.records import RunRecord
from petl_bench.settings import settings_of_card


@dataclass(frozen=True)
class Name:
    """What a configuration is called; ``variant`` where it equals no card. ``card`` is the one it equals."""

    text: str
    variant: bool
    card: MethodCard | None = None


def visible(text: str) -> str:
    """A name on one line, a blank for every character that shows nothing or turns the direction of writing."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split()) or "(no name)"


class Namer:
    """The method cards there are: those of the working directory and the built-in ones, unreadable ones left out."""

    def __init__(self) -> None:
        self.cards: dict[str, MethodCard] = {}
        for file in card_files("methods").values():
            if (card := _readable(file)) is not None:
                self.cards[file.name] = card

    def name(self, record: RunRecord) -> Name:
        """The name of a run's configuration."""
        info = record.meta_info.method_info
        ran_as = str(info.get("name", record.spec.method.implementation))
        matching = [name for name, card in self.cards.items() if _equals(card, record)]
        if matching:
            told = {name: len(settings_of_card(self.cards[name], "", "")) for name in matching}
            name = ran_as if ran_as in matching and info else max(matching, key=lambda name: told[name])
            return Name(visible(name), False, self.cards[name])
        overrides: dict[str, Any] = info.get("overrides", {})
        if not overrides and ran_as not in self.cards:
            return Name(visible(ran_as), False)
        said = ", ".join(f"{key} = {as_text(value)}" for key, value in sorted(overrides.items()))
        return Name(visible(f"{ran_as} ({said or 'not as its card is now'})"), True)


def _readable(file: CardFile) -> MethodCard | None:
    if file.path.suffix != ".toml":
        return None
    try:
        return read_card(file, MethodCard)
    except UserError:
        return None


def _equals(card: MethodCard, record: RunRecord) -> bool:
    """Whether a run has what the card says for its benchmark and backbone, and nothing else that was set."""
    method = record.spec.method
    implementation = card.implementation.rpartition(":")[2] if ".py:" in card.implementation else card.implementation
    if implementation != method.implementation:
        return False
    info = record.meta_info
    said, optimizer = said_by(card, record)
    if optimizer != record.spec.training.optimizer:
        return False
    given, resolved = info.method_info.get("settings", {}), flat(method.hyperparameters)
    if info.method_info and given.keys() - said.keys():
        return False
    return all(as_text(value) == as_text(given.get(key, resolved.get(key))) for key, value in said.items())


def said_by(card: MethodCard, record: RunRecord) -> tuple[dict[str, Any], Optimizer]:
    """What a card says for a run's benchmark and backbone: settings by dotted key, and the optimizer."""
    info = record.meta_info
    said = settings_of_card(card, info.dataset_info["name"], info.model_info["name"])
    of_optimizer = {key: said.pop(key) for key in list(said) if key in Optimizer.model_fields}
    return said, Optimizer.model_validate({**card.optimizer.model_dump(), **of_optimizer})


def as_text(value: Any) -> str:
    """A setting as it is compared and shown: words bare, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
