"""What a results tree says of a run: done, done anew, or failed and why. Free of torch."""

from __future__ import annotations

from pathlib import Path

from petl_bench.records import DamagedError, read_failure, read_record


def is_done(folder: Path | None) -> bool:
    """Whether a run's folder is one of a finished run: a damaged record is not, and is replaced.

    Raises UserError for a record that a later version wrote, or that cannot be read now.
    """
    if folder is None:
        return False
    try:
        read_record(folder)
    except DamagedError:
        return False
    return True


def stamp(folder: Path | None) -> str:
    """What tells a run's record from one that has taken its place; empty where there is none."""
    try:
        status = (folder / "run.json").stat() if folder is not None else None
    except OSError:
        status = None
    return f"{status.st_mtime_ns} {status.st_ino}" if status else ""


def earlier_reason(path: Path | None) -> str:
    """Why a run failed before, from its latest failure."""
    failure = read_failure(path) if path is not None else None
    return failure.error if failure else "unreadable failure record"
