"""Why a process ended, in words."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path


class ExitCodes:
    """Reads exit codes of processes that end one after the other, and watches what the kernel kills for memory."""

    def __init__(self) -> None:
        self._kills_before = _kills_for_memory()

    def cause(self, code: int) -> str:
        """Of a process that has just ended with a code, negative where it was a signal: "by SIGSEGV"."""
        if code >= 0:
            return f"with exit code {code}"
        name = signal.Signals(-code).name
        kills, self._kills_before = self._kills_before, _kills_for_memory()
        if name == "SIGKILL" and self._kills_before > kills:
            return "by SIGKILL: the kernel killed it for memory"
        return f"by {name}"


def _kills_for_memory() -> int:
    """How often the kernel has killed a process for memory since the machine started; 0 where it does not say."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text("ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
