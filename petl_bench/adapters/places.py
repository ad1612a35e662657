"""Where the backbones of adapters are on this machine: noted in the cache by fingerprint, for records go elsewhere."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from petl_bench.files import write_atomically
from petl_bench.locations import cache_folder


def note_place(fingerprint: str, folder: Path) -> None:
    """Note the folder that a backbone was loaded from. Where the cache cannot be written to, it is not noted."""
    with suppress(OSError):
        write_atomically(_note(fingerprint), os.fsencode(folder.resolve()))


def known_place(fingerprint: str) -> str | None:
    """The folder that was noted, where it is still there."""
    try:
        folder = os.fsdecode(_note(fingerprint).read_bytes())
    except OSError:
        return None
    return folder if Path(folder).is_dir() else None


def _note(fingerprint: str) -> Path:
    return cache_folder() / "places" / fingerprint
