"""An array task at its time limit: it comes again as long as that leads anywhere."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from petl_bench.cluster.part import MOST_STALLS, Diary, Part
from petl_bench.cluster.submission import read_progress


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def attempt(part: Part, checkpoint: Path, *, keeps: bool) -> Part | None:
    """An attempt that comes to the limit; what SLURM is to start next."""
    part._diary = Diary(part.folder, part.number)
    part._checkpoints = [checkpoint]
    part._kept_before = part._kept()
    if keeps:
        checkpoint.write_text(f"{checkpoint.read_text() if checkpoint.exists() else ''}.")
    again = part.checkpoint()
    return None if again is None else again.function


def test_a_task_in_which_no_epoch_ends_is_not_started_for_ever(tmp_path: Path) -> None:
    part: Part | None = Part(tmp_path, 0, 12)
    for _ in range(MOST_STALLS - 1):
        assert part is not None
        part = attempt(part, tmp_path / "checkpoint", keeps=False)
    assert part is not None
    assert attempt(part, tmp_path / "checkpoint", keeps=False) is None
    assert read_progress(tmp_path, 0).trouble == "no epoch ended in 3 attempts: give the profile more time"


def test_a_task_that_comes_to_its_limit_before_it_began_is_not_started_for_ever(tmp_path: Path) -> None:
    part = Part(tmp_path, 0, 12, stalls=MOST_STALLS - 1)
    assert part.checkpoint() is None
    assert read_progress(tmp_path, 0).trouble.startswith("no epoch ended in 3 attempts")


def test_a_task_that_keeps_an_epoch_at_every_limit_goes_on(tmp_path: Path) -> None:
    part: Part | None = Part(tmp_path, 0, 12)
    for number in range(3 * MOST_STALLS):
        assert part is not None
        part = attempt(part, tmp_path / "checkpoint", keeps=number % MOST_STALLS == 0)
    assert part is not None
