"""``petl-bench cancel``: cancel what SLURM does for a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petl_bench.cli._options import Results
from petl_bench.errors import UserError
from petl_bench.wording import count


def cancel(
    jobs: Annotated[
        list[str] | None, typer.Argument(help="Jobs or tasks as status shows them, as 12 or 12_3. [default: all]")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Cancel jobs that were submitted with --executor slurm.

    What is recorded stays; a run that is under way goes on from its checkpoint when it is submitted again.
    """
    from petl_bench.cluster import queue
    from petl_bench.cluster.submission import submissions, written_down

    root = results.expanduser()
    known = queue.tasks_of_user() if any(written_down(root)) else {}
    tasks = [(number, submission.name) for _, submission in submissions(root, known) for number in submission.numbers]
    for job in jobs or []:
        if not any(job in (number, number.partition("_")[0]) for number, _ in tasks):
            raise UserError(f"cancel {job}: no job or task of {root}; petl-bench status shows them")
    doomed = [
        number
        for number, name in tasks
        if known.get((number, name), queue.QueuedTask()).lives
        and (not jobs or {number, number.partition("_")[0]} & set(jobs))
    ]
    queue.cancel(doomed)
    print(f"cancelled {count(len(doomed), 'task')}" + (f": {', '.join(doomed)}" if doomed else ""))
