"""``petl-bench status``: what SLURM does for a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petl_bench.cli._layout import next_step, results_flag
from petl_bench.cli._options import Results


def status(
    results: Results = Path("results"),
    every: Annotated[bool, typer.Option("--all", help="Tasks and jobs too that are done.")] = False,
) -> None:
    """Show jobs that were submitted with --executor slurm: their tasks, and how many of their runs are recorded."""
    from petl_bench.cluster.queue import tasks_of_user
    from petl_bench.cluster.status import headline, task_statuses
    from petl_bench.cluster.submission import submissions, written_down
    from petl_bench.results import ResultsTree

    tree = ResultsTree(results.expanduser())
    if not any(written_down(tree.root)):
        print(f"nothing was submitted for {tree.root} from this account and cache folder")
        return
    queue = tasks_of_user()
    known = list(submissions(tree.root, queue))
    shown, lost, living = 0, 0, 0
    for folder, submission in known:
        tasks = task_statuses(folder, submission, tree, queue)
        lost += sum(task.state.startswith("lost") for task in tasks)
        living += sum(task.queued.lives for task in tasks)
        if not every and all(task.state == "done" for task in tasks):
            continue
        shown += 1
        print(headline(submission, tasks))
        for task in tasks:
            if every or task.state != "done":
                where = f"{task.queued.node} {task.queued.elapsed}" if task.queued.lives and task.queued.node else ""
                runs = f"{task.recorded} of {task.runs}"
                line = f"  {task.number:<10} {task.state:<18} {runs:<10} {where:<18} {task.remark}"
                print(line.rstrip())
        print()
    if not shown:
        print(f"{len(known)} submitted, all done (--all shows them)")
    if lost:
        next_step("the command that submitted the job, again: it submits what is lacking and nothing else")
    if living:
        next_step(f"petl-bench cancel{results_flag(results)} cancels what still waits or runs")
