"""Files that exist whole or not at all, and text that is read or refused in one line."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from petl_bench.errors import UserError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; renamed to ``path`` when the block ends well, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            flush(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` to fill; renamed to ``path`` when the block ends well, else removed.

    Raises UserError where ``path`` is there and holds something, OSError where it cannot be written.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} is there and not an empty folder: give another, or remove it")
    whole = path.resolve()
    whole.parent.mkdir(parents=True, exist_ok=True)
    temporary = whole.with_name(f".{whole.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir()
        yield temporary
        os.replace(temporary, whole)  # an empty folder makes way
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_durably(path: Path, text: str) -> None:
    """Write a new UTF-8 file that outlasts a machine that stops."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        flush(file)


def flush(file: IO[Any]) -> None:
    """Have what was written to a file put on the disk, so that a rename after it names nothing that is not there."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Say in one line of ``where``, an option with its value, that what the block writes cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{where}: cannot be written to ({error.strerror or error})") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``path`` whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def read_text(path: Path) -> str:
    """A UTF-8 file's text, without a byte order mark. Raises UserError, file named."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
