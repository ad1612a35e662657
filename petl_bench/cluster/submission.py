"""A submission: a folder outside of the results tree that says which array task does which runs. Free of torch.

``submission.json`` is what `status` and `cancel` read, ``orders.json`` and ``parts`` what the tasks read, ``progress``
what they write, ``submitit`` where submitit keeps its pickles and logs, ``deaths`` a line per killed attempt of a task.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from petl_bench.files import write_atomically
from petl_bench.locations import cache_folder
from petl_bench.results import ResultsTree
from petl_bench.standing import is_done, stamp

SUBMISSIONS = "slurm"
"""Below the cache folder."""


class Entry(BaseModel):
    """A run of an array task. replaces, failures: what was on file of it when it was submitted."""

    key: str
    title: str
    replaces: str = ""
    failures: int = 0

    def is_recorded(self, folder: Path | None) -> bool:
        """Whether it was recorded since; ``folder`` is where the tree has the run."""
        return is_done(folder) and stamp(folder) != self.replaces

    def has_failed(self, tree: ResultsTree) -> bool:
        """Whether it failed since."""
        return tree.failure_count(self.key) > self.failures


class Submission(BaseModel):
    """What was submitted. name: of the job, no other's; numbers: of its tasks, as ``12_0``; parts: the runs of each.

    There are no numbers as long as it is being submitted, and where that was cut off.
    """

    results: Path
    name: str
    created_at: str
    numbers: list[str]
    parts: list[list[Entry]]

    @property
    def job(self) -> str:
        """SLURM's number of the whole array."""
        return self.numbers[0].partition("_")[0]

    def found_in(self, queue: Collection[tuple[str, str]]) -> Submission | None:
        """With its numbers, where a queue of (number, name) has the job; None where it has not."""
        job = next((number.partition("_")[0] for number, name in queue if name == self.name), None)
        if job is None:
            return None
        numbers = [job] if len(self.parts) == 1 else [f"{job}_{at}" for at in range(len(self.parts))]
        return self.model_copy(update={"numbers": numbers})


def submissions_folder(results: Path) -> Path:
    """Where the submissions of a results folder are kept."""
    digest = hashlib.sha256(str(results.resolve()).encode()).hexdigest()[:16]
    return cache_folder() / SUBMISSIONS / digest


def new_folder(results: Path) -> Path:
    """A new submission's folder, empty."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = submissions_folder(results).absolute() / f"{now}-{secrets.token_hex(3)}"
    for name in ("parts", "progress", "deaths"):
        (folder / name).mkdir(parents=True)
    return folder


def write_submission(folder: Path, submission: Submission) -> None:
    write_atomically(folder / "submission.json", submission.model_dump_json(indent=1).encode())


def written_down(results: Path) -> Iterator[tuple[Path, Submission]]:
    """What was or is being submitted for a results folder, the oldest first; unreadable ones are left out."""
    for path in sorted(submissions_folder(results).glob("*/submission.json")):
        with suppress(OSError, ValidationError):
            yield path.parent, Submission.model_validate_json(path.read_bytes())


def submissions(results: Path, queue: Collection[tuple[str, str]] = ()) -> Iterator[tuple[Path, Submission]]:
    """All submissions of a results folder with their folders, the oldest first.

    One whose submitting was cut off is found by its name in a ``queue`` of (number, name), and left out otherwise.
    """
    for folder, submission in written_down(results):
        if submission.numbers:
            yield folder, submission
        elif found := submission.found_in(queue):
            write_submission(folder, found)
            yield folder, found


class Progress(BaseModel):
    """What an array task says of itself while it lives. going: title and epochs of the runs that it trains, by key."""

    restarts: int = 0
    going: dict[str, tuple[str, int, int]] = {}
    trouble: str = ""
    """Why it ended without doing its runs."""


def write_progress(folder: Path, part: int, progress: Progress) -> None:
    """Raises OSError."""
    (folder / "progress").mkdir(exist_ok=True)
    write_atomically(folder / "progress" / f"{part}.json", progress.model_dump_json().encode())


def read_progress(folder: Path, part: int) -> Progress:
    """What a task said last; nothing where it has said nothing."""
    try:
        facts: Any = json.loads((folder / "progress" / f"{part}.json").read_bytes())
        return Progress.model_validate(facts)
    except (OSError, ValueError):
        return Progress()
