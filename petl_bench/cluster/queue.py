"""What SLURM says of a user's tasks, and how they are cancelled. Free of torch.

``squeue`` is asked, not ``sacct``: a cluster may keep no accounting. A task that ended is known for some minutes only
(SLURM's MinJobAge); what it has done is in the results tree.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from petl_bench.cluster.environment import for_asking
from petl_bench.errors import UserError

ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
    | {"REVOKED", "TIMEOUT"}
)
"""States that a task does not leave by itself; ``gone`` stands for one that SLURM has forgotten."""
GONE = "gone"
FIELDS = "%i|%j|%T|%r|%N|%M"
ASKING_SECONDS = 60


class QueueError(UserError):
    """SLURM's controller does not answer, or refuses."""


Queue = dict[tuple[str, str], "QueuedTask"]
"""Tasks by their number, as ``12_0``, and their job's name: numbers alone are used again, and by other clusters."""


@dataclass(frozen=True)
class QueuedTask:
    """A task as SLURM sees it. reason: why it waits. elapsed: of its present attempt, as SLURM prints it."""

    state: str = GONE
    reason: str = ""
    node: str = ""
    elapsed: str = ""

    @property
    def lives(self) -> bool:
        return self.state not in ENDED and self.state != GONE


def require(program: str) -> None:
    """Raises UserError where a program of SLURM is not here."""
    if shutil.which(program) is None:
        raise UserError(f"no {program} on PATH: this is no login node of a SLURM cluster, or its module is not loaded")


def tasks_of_user() -> Queue:
    """All tasks of this user that SLURM remembers. Raises QueueError."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", f"--format={FIELDS}"]
    found = {}
    for line in _ask(command).splitlines():
        number, *facts = line.strip().split("|")
        if len(facts) == 5:
            found[number, facts[0]] = QueuedTask(*facts[1:])
    return found


def cancel(numbers: Sequence[str]) -> None:
    """Cancel tasks: they end with their runs kept where these reach the end of an epoch in time. Raises QueueError."""
    if numbers:
        _ask(["scancel", *numbers])


def _ask(command: list[str]) -> str:
    require(command[0])
    try:
        done = subprocess.run(
            command, env=for_asking(), capture_output=True, text=True, timeout=ASKING_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise QueueError(f"{command[0]} does not answer within {ASKING_SECONDS} seconds") from error
    if done.returncode:
        raise QueueError(f"{command[0]}: {done.stderr.strip().removeprefix(f'{command[0]}: ') or 'fails'}")
    return done.stdout
