"""Claims: which process works on what, for any number of processes and machines that share a folder. Free of torch.

A claim is a file that only one process can create. Its owner touches it while it lives, and the file system's own clock
tells how long ago, so machines need not agree on the time. A claim whose owner is gone is taken over by creating the
next generation of it, which again only one process can. A claim keeps double work away; that what is made exists once
is for whoever files it to see to.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

BEAT_SECONDS = 10.0
"""An owner touches its claim so often."""
WAIT_SECONDS = 0.05
"""How often whoever waits for a claim looks whether it is free."""
SILENT_SECONDS = 120.0
"""An owner that has not touched its claim for so long is taken to be gone: dead, paused, or cut off."""


@dataclass(frozen=True)
class Owner:
    """The process behind a claim. ``machine`` and ``began`` tell it from another with its number."""

    host: str
    pid: int
    machine: str
    began: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @classmethod
    def this(cls) -> Owner:
        """The owner that this process is."""
        return cls(socket.gethostname(), os.getpid(), _machine(), _beginning(os.getpid()) or "")

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended; of other machines nothing is known."""
        return os.name == "posix" and self.machine == _machine() and _beginning(self.pid) != self.began


class Claim:
    """A claim that this process holds until ``release``, or until the ``with`` block ends."""

    def __init__(self, path: Path, name: str, generation: int, beat: float) -> None:
        self.name = name
        self.generation = generation
        self._path = path
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._keep, args=(beat,), daemon=True)
        self._beating.start()

    def release(self) -> None:
        """Give the claim up, with what is left of earlier owners'."""
        self._released.set()
        if not self._is_ours():
            return
        for generation, path in _generations(self._path.parent, self.name):
            if generation <= self.generation:
                with suppress(OSError):
                    path.unlink()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def _keep(self, beat: float) -> None:
        while not self._released.wait(beat):
            with suppress(OSError):  # the file system is away
                if not self._is_ours():
                    return  # taken over and released while this process was paused; it may be another's by now
                os.utime(self._path)

    def _is_ours(self) -> bool:
        try:
            return _read_owner(self._path.read_text("utf-8", errors="replace")) == Owner.this()
        except FileNotFoundError:
            return False


class Claims:
    """The claims in a folder, by name."""

    def __init__(self, folder: Path, beat: float = BEAT_SECONDS, silent: float = SILENT_SECONDS) -> None:
        self.folder = folder
        self.beat = beat
        self.silent = silent

    def take(self, name: str) -> Claim | Owner:
        """Claim ``name`` for this process, or say who holds it. Raises OSError where the folder is not writable."""
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            generation, owner = self._latest(name)
            if owner is not None:
                return owner
            path = self.folder / f"{name}.{generation + 1}"
            try:
                with path.open("x", encoding="utf-8") as file:
                    json.dump(asdict(Owner.this()), file)
            except FileExistsError:
                continue  # another process was quicker
            return Claim(path, name, generation + 1, self.beat)

    def wait(self, name: str) -> Claim:
        """Claim ``name`` as soon as nobody else holds it. Raises OSError where the folder is not writable."""
        while isinstance(claim := self.take(name), Owner):
            time.sleep(WAIT_SECONDS)
        return claim

    def owner(self, name: str) -> Owner | None:
        """Who holds a living claim to ``name``."""
        return self._latest(name)[1]

    def clear(self, name: str) -> None:
        """Remove what is left of claims to ``name`` that nobody holds any more."""
        if self.owner(name) is None:
            for _, path in _generations(self.folder, name):
                with suppress(OSError):
                    path.unlink()

    def left_over(self) -> Iterator[Path]:
        """Files of claims that nobody holds any more."""
        names = {path.name.rpartition(".")[0] for path in self.folder.glob("*.*")}
        for name in sorted(names):
            if self.owner(name) is None:
                yield from (path for _, path in _generations(self.folder, name))

    def _latest(self, name: str) -> tuple[int, Owner | None]:
        """The highest generation there is, 0 where there is none, and its owner where that lives."""
        generation, path = max(_generations(self.folder, name), default=(0, None))
        if path is None:
            return generation, None
        try:
            # Opening a file makes a network file system look at what it is now.
            with path.open(encoding="utf-8", errors="replace") as file:
                touched, owner = os.fstat(file.fileno()).st_mtime, _read_owner(file.read(4096))
        except OSError:
            return generation, None  # released between two looks
        is_silent = abs(self._now() - touched) > self.silent  # one from the future is of a clock that was wrong
        return generation, None if is_silent or owner.is_gone else owner

    def _now(self) -> float:
        """The time by the clock that stamps files in the folder."""
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:
            return 0.0  # where nothing can be written, nothing can be taken over


def _generations(folder: Path, name: str) -> list[tuple[int, Path]]:
    found = [(path.name.rpartition(".")[2], path) for path in folder.glob(f"{name}.*")]
    return [(int(number), path) for number, path in found if number.isascii() and number.isdigit()]


def _read_owner(text: str) -> Owner:
    """The owner in a claim's file; nobody known where its text is not (yet) whole."""
    try:
        owner = Owner(**json.loads(text))
        if [type(value) for value in vars(owner).values()] == [str, int, str, str]:
            return owner
    except (ValueError, TypeError, RecursionError):
        pass
    return Owner("unknown host", 0, "", "")


@cache
def _machine() -> str:
    """One boot of one machine, and the namespace in which process numbers count."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _beginning(pid: int) -> str | None:
    """When a process of this machine began, in the system's own count ("" where there is none); None where it ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, ValueError, IndexError):
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return ""
