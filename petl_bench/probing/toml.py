"""Values and comments of the cards that a probe writes, as TOML has them."""

from __future__ import annotations

import json
from typing import Any


def toml(value: Any) -> str:
    """Numbers, words, switches and lists of them: TOML writes these as JSON does, but for what no terminal shows.

    Characters that no file can hold (parts of a name that is not UTF-8) become question marks.
    """
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return text.encode("utf-8", "replace").decode("utf-8")


def comment(text: str) -> str:
    """A comment on one line, whatever is in it."""
    shown = "".join(character if character.isprintable() else " " for character in f"# {text}")
    return " ".join(shown.split())
