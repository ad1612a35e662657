"""The one exception that is addressed to the person at the keyboard."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A user's mistake: one line that says what was given, what is allowed and what to do next (exit code 2)."""


class AbsentError(UserError):
    """Data or weights that are not on this machine, and how to get them."""


class DamagedCacheError(UserError):
    """Something of the cache that was damaged, and is removed to be made anew."""


def one_line(error: BaseException) -> str:
    """An exception's type and message without line breaks, at most 300 characters, whatever the message is."""
    try:
        message = str(error)
    except Exception as second:
        message = f"(no message: {type(second).__name__})"
    text = " ".join(f"{type(error).__name__}: {message}".split())[:300]
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def unknown(kind: str, given: str, known: Iterable[str]) -> str:
    """A message: ``unknown method 'lara' (did you mean 'lora'?); known: linear, lora``."""
    names = list(known)
    return f"unknown {kind} '{given}'{nearest(given, names)}; known: {', '.join(names) or 'none'}"


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` where a near match exists, else ``""``."""
    names = {name.lower(): name for name in allowed}
    matches = difflib.get_close_matches(given.lower(), list(names), n=1, cutoff=0.5)
    return f" (did you mean '{names[matches[0]]}'?)" if matches else ""
