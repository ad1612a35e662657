"""Arguments of calls from Python, read as the command line reads its options: what is wrong is one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from petl_bench.errors import UserError, nearest


def names(argument: str, given: Iterable[str] | str, *, some: bool = False) -> tuple[str, ...]:
    """Words, or one alone. Raises UserError where there is anything else, or ``some`` are needed and there are none."""
    words = (given,) if isinstance(given, str) else _tuple(argument, given, "a word or a list of words")
    if wrong := [word for word in words if not isinstance(word, str)]:
        raise UserError(f"{argument}: {wrong[0]!r} is no word: give a word or a list of words")
    if some and not words:
        raise UserError(f"{argument} is empty: name at least one")
    return words


def numbers(argument: str, given: Iterable[int] | int) -> tuple[int, ...]:
    """Whole numbers from 0, or one alone, each once. Raises UserError where there is anything else, or none."""
    what = "a whole number or several"
    found = (given,) if isinstance(given, int) else _tuple(argument, given, what)
    for number in found:
        if not hasattr(number, "__index__") or isinstance(number, bool) or number < 0:
            raise UserError(f"{argument}: {number!r} is not allowed; give {what}, from 0")
    if not found:
        raise UserError(f"{argument} is empty: give {what}")
    return tuple(dict.fromkeys(int(number) for number in found))


def positive(argument: str, given: int | None) -> int | None:
    """A whole number from 1, or None. Raises UserError."""
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise UserError(f"{argument} = {given!r}: give a whole number from 1")
    return given


def one_of(argument: str, given: Any, allowed: Sequence[str]) -> Any:
    """One of some words. Raises UserError."""
    if given not in allowed:
        raise UserError(f"{argument} = {given!r}{nearest(str(given), allowed)}: one of {', '.join(allowed)}")
    return given


def _tuple(argument: str, given: Any, what: str) -> tuple[Any, ...]:
    try:
        if isinstance(given, str | bytes):
            raise TypeError
        return tuple(given)
    except TypeError as error:
        raise UserError(f"{argument} = {given!r}: give {what}") from error
