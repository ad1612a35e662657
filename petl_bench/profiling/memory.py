"""The most memory that some work has in use at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Memory:
    """Bytes. ``added`` is what of the ``peak`` is above what was in use before. None: it cannot be told here."""

    peak: int | None = None
    added: int | None = None


def peak_memory(work: Callable[[], object], device: torch.device) -> Memory:
    """Do some work and say what memory it took: of torch's tensors on a GPU, of the whole process on a CPU.

    On a CPU this is the high-water mark of resident memory, which Linux keeps and forgets on demand (proc(5),
    clear_refs).
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        peak = torch.cuda.max_memory_allocated(device)
        return Memory(peak, peak - before)
    resident = _forget_high_water()
    work()
    if resident is None:
        return Memory()
    peak = _status("VmHWM")
    return Memory(peak, max(0, peak - resident))


def _forget_high_water() -> int | None:
    """Bytes resident now, from where the high-water mark starts again; None where the system keeps none."""
    with suppress(OSError, KeyError):
        (PROCESS / "clear_refs").write_text("5")
        return _status("VmHWM")
    return None


def _status(name: str) -> int:
    """Bytes that the kernel says of this process. Raises OSError or KeyError where it says nothing."""
    lines = (PROCESS / "status").read_text("ascii").splitlines()
    kilobytes = dict(line.split(":", 1) for line in lines)[name].split()[0]
    return 1024 * int(kilobytes)
