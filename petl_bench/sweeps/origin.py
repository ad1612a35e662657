"""Where a page comes from: the command that makes it, and in what it is not all of its card."""

from __future__ import annotations

from dataclasses import dataclass

from petl_bench.leaderboard.pages import escaped


@dataclass(frozen=True)
class Origin:
    """``mark``: in what a study is not its card's. ``command``: what repeats it where its data are found."""

    mark: str = ""
    command: str = ""

    def lines(self, kind: str) -> list[str]:
        """What stands below a page's title; ``kind`` is study or search."""
        said = [f"**Not the whole {kind} of the card: {escaped(self.mark)}.**", ""] if self.mark else []
        return [*said, f"Made by `{self.command}`.", ""] if self.command else said
