"""Progress on a terminal: a bar a task, gone when all is done; nothing elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

QUIET_SECONDS = 30
"""Off a terminal, what lasts says where it is after so many seconds."""


def bars(console: Console, amount: ProgressColumn) -> Progress:
    """Bars with their descriptions, how much of each is done, and the time that is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        amount,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        expand=True,
        disable=not console.is_terminal,
    )
