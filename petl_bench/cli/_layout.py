"""What verbs print: aligned tables that fit a terminal, lines that break between words, and what to do next."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = dict[Any, Any]
Columns = dict[str, Callable[[Any], str]]
NARROWEST = 40
WORDS = ("verdict",)
"""Columns of words, aligned left and folded where the terminal is narrow."""


def grid(
    rows: Sequence[Row], columns: Columns, name: Callable[[Any], str] = lambda row: str(row["method"]), head: str = ""
) -> None:
    """Print aligned columns, and an empty line; names fold where the terminal is narrow."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1))
    longest = max((len(name(row)) for row in rows), default=0)
    table.add_column(head, overflow="fold", min_width=min(24 if len(columns) < 6 else 12, longest))
    for title in columns:
        words = title in WORDS
        table.add_column(title, justify="left" if words else "right", no_wrap=not words)
    for row in rows:
        table.add_row(escape(name(row)), *(escape(cell(row)) for cell in columns.values()))
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n")


def say(text: str, indent: str = "") -> None:
    """Print a line, on a terminal broken between words; ``indent`` is what further lines begin with."""
    if sys.stdout.isatty():
        width = max(NARROWEST, shutil.get_terminal_size().columns)
        text = textwrap.fill(
            text,
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
            drop_whitespace=True,
        )
    print(text)


def note(text: str) -> None:
    """Print one remark of a list."""
    say(f"- {text}", "  ")


def next_step(*steps: str) -> None:
    """Print what to do next, a line each that is never broken, so that a command can be copied."""
    for step in steps:
        print(f"next: {step}")


def results_flag(results: Path) -> str:
    """The flag that names a results folder again, with a space before it; nothing where it is the usual one."""
    return "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
