"""Where the trials of searches are kept: a journal file that processes share, or any storage that Optuna knows."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from petl_bench.errors import UserError, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

Direction = Literal["minimize", "maximize"]


class MendingLock(JournalFileOpenLock):
    """The lock that writers of a journal take. Who has it drops the line that a dying writer left unfinished.

    It is a file created exclusively, which works on network file systems (NFSv3 and later) too. The lock of a writer
    that died is broken after half a minute.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def acquire(self) -> bool:
        taken = super().acquire()
        try:
            drop_torn_line(self._path)
        except OSError:
            self.release()
            raise
        return taken

    def release(self) -> None:
        with suppress(RuntimeError):  # broken by others while this process was paused
            super().release()


def open_journal(path: Path) -> JournalStorage:
    """The journal at a path, which is made absolute; one that does not exist is created.

    Raises UserError where that cannot be done, or where the file is no journal.
    """
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = MendingLock(path)
        if path.exists():
            lock.acquire()
            try:
                for line in path.read_bytes().splitlines():
                    json.loads(line)
            finally:
                lock.release()
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except OSError as error:
        raise UserError(f"{path}: cannot be written to ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(f"{path}: not a readable journal of trials ({one_line(error)}); move it away") from error


def open_url(url: str) -> BaseStorage:
    """The storage at a URL, as ``postgresql+psycopg://user@host/database``. Raises UserError: it cannot be opened."""
    try:
        return optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except ImportError as error:
        raise UserError(f"--storage {_public(url)}: its driver is not installed ({error}); for PostgreSQL: pip install "
                        "'petl-bench[postgresql]'") from error  # fmt: skip
    except Exception as error:  # every driver has errors of its own
        first = one_line(error).replace(url, _public(url))
        raise UserError(f"--storage {_public(url)}: cannot be opened: {first}") from error


def drop_torn_line(path: Path) -> None:
    """Cut what stands behind the last line end of a file."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())


def open_study(storage: BaseStorage, name: str, directions: Sequence[Direction]) -> optuna.Study:
    """The study of a name, created where there is none. Raises UserError where the storage fails."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with suppress(KeyError):
            return optuna.load_study(storage=storage, study_name=name)
        return optuna.create_study(storage=storage, study_name=name, directions=list(directions), load_if_exists=True)
    except OSError as error:
        raise UserError(f"the trials cannot be written to ({error.strerror or error})") from error


def _public(url: str) -> str:
    """A URL without its password."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, account = head.partition("://")
    return f"{scheme}{slashes}{account.partition(':')[0]}{at}{tail}" if at else url
