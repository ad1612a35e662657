"""Content hashes of a data set's files, cached by path, size and modification time. Free of torch."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from petl_bench.errors import UserError
from petl_bench.files import write_atomically
from petl_bench.locations import cache_folder, unwritable_cache


def content_hashes(root: Path, files: Sequence[Path]) -> list[str]:
    """16 hexadecimal digits of the SHA-256 of every file; a file unchanged since the last call is not read again.

    Raises UserError where a file is missing.
    """
    root = root.resolve()
    store = cache_folder() / "fingerprints" / f"{hashlib.sha256(str(root).encode()).hexdigest()[:16]}.json"
    known = _read_store(store)
    hashes: dict[str, tuple[int, int, str]] = {}
    for path in files:
        key = os.path.relpath(path, root)
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"{path} is not a file")
            size, modified = status.st_size, status.st_mtime_ns
            before = known.get(key)
            if before is not None and before[0] == size and before[1] == modified:
                hashes[key] = before
            else:
                with path.open("rb") as file:
                    hashes[key] = (size, modified, hashlib.file_digest(file, "sha256").hexdigest()[:16])
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if any(known.get(key) != value for key, value in hashes.items()):
        try:
            write_atomically(store, json.dumps({**known, **hashes}).encode())
        except OSError as error:
            raise unwritable_cache(store.parent, error) from error
    return [hashes[os.path.relpath(path, root)][2] for path in files]


def _read_store(store: Path) -> dict[str, tuple[int, int, str]]:
    """The store's entries; an absent or damaged store is an empty one, since it can be made anew."""
    try:
        return {key: (value[0], value[1], value[2]) for key, value in json.loads(store.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
        return {}
