"""What became of submissions: tasks as SLURM sees them, runs as the results tree has them. Free of torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from petl_bench.cluster.queue import GONE, Queue, QueuedTask
from petl_bench.cluster.submission import Progress, Submission, read_progress
from petl_bench.results import ResultsTree
from petl_bench.wording import count


@dataclass(frozen=True)
class TaskStatus:
    """An array task. deaths: times its process was killed and it was started again."""

    number: str
    queued: QueuedTask
    runs: int
    recorded: int
    failed: int
    progress: Progress
    deaths: int
    log: Path

    @property
    def is_done(self) -> bool:
        return self.recorded + self.failed == self.runs

    @property
    def state(self) -> str:
        """SLURM's, ``done`` where nothing is left to do, or ``lost`` with what is known of how it ended."""
        if self.queued.lives:
            return self.queued.state.lower()
        if self.is_done:
            return "done"
        return "lost" if self.queued.state == GONE else f"lost ({self.queued.state.lower()})"

    @property
    def remark(self) -> str:
        """What it is doing, why it waits, or what to do about it; and how often it was started again."""
        parts = []
        if self.queued.state == "PENDING" and self.queued.reason != "None":
            parts.append(f"waits: {self.queued.reason}")
        elif self.queued.lives:
            parts += [f"{title}: epoch {epoch} of {epochs}" for title, epoch, epochs in self.progress.going.values()]
        elif not self.is_done:
            parts.append(self.progress.trouble or f"its log: {self.log}")
        if restarts := max(self.progress.restarts, self.deaths):
            parts.append(f"started again {count(restarts, 'time')}")
        if self.deaths:
            parts.append(f"killed {count(self.deaths, 'time')}")
        return "; ".join(parts)


def task_statuses(folder: Path, submission: Submission, tree: ResultsTree, queue: Queue) -> list[TaskStatus]:
    """Every task of a submission."""
    folders, known_failures, found = tree.run_folders(), tree.failures(), []
    for at, (number, part) in enumerate(zip(submission.numbers, submission.parts, strict=True)):
        recorded = [entry.is_recorded(folders.get(entry.key)) for entry in part]
        failed = [not done and entry.key in known_failures and entry.has_failed(tree)
                  for entry, done in zip(part, recorded, strict=True)]  # fmt: skip
        task = TaskStatus(
            number=number,
            queued=queue.get((number, submission.name), QueuedTask()),
            runs=len(part),
            recorded=sum(recorded),
            failed=sum(failed),
            progress=read_progress(folder, at),
            deaths=_deaths(folder, at),
            log=folder / "submitit" / f"{number}_0_log.err",
        )
        found.append(task)
    return found


def headline(submission: Submission, tasks: list[TaskStatus]) -> str:
    """A submission in a line: its runs, then its tasks by state."""
    runs, recorded, failed = (sum(getattr(task, name) for task in tasks) for name in ("runs", "recorded", "failed"))
    states = Counter(task.state for task in tasks)
    said = f"job {submission.job}, submitted {submission.created_at}: {recorded} of {runs} runs recorded"
    said += f", {failed} failed" if failed else ""
    return f"{said}; tasks: " + ", ".join(f"{number} {state}" for state, number in sorted(states.items()))


def _deaths(folder: Path, part: int) -> int:
    try:
        return len((folder / "deaths" / str(part)).read_text().splitlines())
    except OSError:
        return 0
