"""What a reader must know of clips and only shows when they are read; kept in a small file beside their features."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from petl_bench.files import write_atomically

SHOWN = 4
"""Clips that are named."""


class Found(BaseModel):
    """Clips of one kind: how many, and the first of them by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = 0
    first: tuple[str, ...] = ()

    def and_also(self, clip_id: str) -> Found:
        return Found(count=self.count + 1, first=(*self.first, clip_id)[:SHOWN])

    def __str__(self) -> str:
        names = ", ".join(self.first) + (", ..." if self.count > len(self.first) else "")
        return f"{self.count:,} clip{'' if self.count == 1 else 's'} ({names})"


class ClipFacts(BaseModel):
    """Clips without any sound, and clips of which more than a frame is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    silent: Found = Found()
    longer: Found = Found()

    def and_of(self, clip_id: str, *, silent: bool, longer: bool) -> ClipFacts:
        """These facts and those of one more clip."""
        return ClipFacts(
            silent=self.silent.and_also(clip_id) if silent else self.silent,
            longer=self.longer.and_also(clip_id) if longer else self.longer,
        )

    def notes(self, name: str, frames: int) -> list[str]:
        """Lines for under a table of the data set ``name``, whose clips are cut to ``frames`` frames of 10 ms."""
        notes = []
        if self.silent.count:
            notes.append(f"{name}: without any sound: {self.silent}")
        if self.longer.count:
            notes.append(f"{name}: longer than {frames / 100:.1f} s, only the beginning is used: {self.longer}")
        return notes


def read_facts(path: Path) -> ClipFacts | None:
    """The facts in a file, or None where there is none or it is damaged: it can be made anew."""
    try:
        return ClipFacts.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def write_facts(path: Path, facts: ClipFacts) -> None:
    write_atomically(path, facts.model_dump_json().encode())
