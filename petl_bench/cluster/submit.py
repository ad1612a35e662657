"""From tasks to an array job: packed, written down, and handed to sbatch by submitit."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError

from petl_bench.cluster.environment import environment, for_submitting
from petl_bench.cluster.orders import Orders, entry_of, write_orders
from petl_bench.cluster.part import Part
from petl_bench.cluster.profile import SlurmProfile
from petl_bench.cluster.queue import QueueError, tasks_of_user
from petl_bench.cluster.submission import Submission, new_folder, write_submission
from petl_bench.errors import UserError, one_line
from petl_bench.execution import Execution
from petl_bench.locations import CACHE_VARIABLE, DATA_VARIABLE, cache_folder
from petl_bench.results import ResultsTree
from petl_bench.work import Task
from petl_bench.workbench import Opening

MOST_LIMITS = 1000
"""Times a task may come to its time limit and be put into the queue again."""
MOST_DEATHS = 2
"""Times a task whose process was killed is put into the queue again."""
CARRIED = (DATA_VARIABLE, "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "WANDB_MODE", "PYTHONPATH")
"""Variables that tasks have as this process has them, whatever sbatch passes on."""
LOOKS_AFTER = (0.0, 2.0, 5.0)
"""Seconds before each look for a job of which sbatch did not say whether it was accepted: a controller may be slow."""
DEATHS = (134, 135, 136, 137, 139, 140)
"""Exit codes of a process that a signal ended: ABRT, BUS, FPE, KILL, SEGV, and USR2 before there is a handler."""
TASK = """\
unset ${{!SQUEUE_*}} ${{!SCANCEL_*}}
task=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
task=${{task:-$SLURM_JOB_ID}}
pickle={folder}/submitit/${{task}}_submitted.pkl
[ -e "$pickle" ] || cp {folder}/parts/${{SLURM_ARRAY_TASK_ID:-0}} "$pickle"
"""
"""Shell of every task: its number, and what it is to do, which submitit puts there only after it heard from sbatch."""
AFTER_DEATH = """\
after_death() {{
  code=$?
  deaths={folder}/deaths/${{SLURM_ARRAY_TASK_ID:-0}}
  case $code in {codes}) ;; *) exit $code ;; esac
  state=$(squeue -h -j "$task" -o %T)
  if [ "$state" = RUNNING ] && [ "$(cat "$deaths" 2>/dev/null | wc -l)" -lt {most} ]; then
    echo "$code $(date -u)" >> "$deaths"
    scontrol requeue "$task"
  fi
  exit $code
}}
trap after_death EXIT
trap : TERM"""
"""And: where its process was killed and it is not being cancelled, SLURM is to start it again. It outlives a SIGTERM,
so that what it has started can leave in good order. One task of an array has the array's own number as SLURM_JOB_ID:
by that all of them would be meant."""


def submit(
    tasks: Sequence[Task], opening: Opening, tree: ResultsTree, execution: Execution, say: Callable[[str], None]
) -> tuple[Path, Submission]:
    """Submit tasks as one array job; what was submitted, with its folder. Raises UserError where sbatch refuses.

    It is written down before sbatch is called, so that a job that is accepted is found whatever happens here.
    """
    profile = execution.cluster.profile
    size = profile.runs_per_task
    parts = [list(tasks[start : start + size]) for start in range(0, len(tasks), size)]
    results = tree.root.absolute()
    folder = new_folder(tree.root)
    write_orders(folder, Orders(opening=opening, results=results, execution=execution, parts=parts))
    executor = submitit.SlurmExecutor(folder / "submitit", max_num_timeout=MOST_LIMITS)
    executor.update_parameters(**parameters(profile, folder))
    todo = [Part(folder, number, profile.grace) for number in range(len(parts))]
    for part in todo:
        delayed = DelayedSubmission(part)
        delayed.set_timeout(profile.time, MOST_LIMITS)
        delayed.dump(folder / "parts" / str(part.number))
    submission = Submission(
        results=results,
        name=job_name(folder),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        numbers=[],
        parts=[[entry_of(task) for task in part] for part in parts],
    )
    write_submission(folder, submission)
    try:
        with environment(for_submitting(profile.model_dump())), redirect_stderr(io.StringIO()):  # which it prints to
            jobs = executor.submit_array(todo)
        submission = submission.model_copy(update={"numbers": [job.job_id for job in jobs]})
    except (OSError, RuntimeError, KeyboardInterrupt) as error:
        cause = one_line(error) if isinstance(error, OSError) else " ".join(str(error).split()) or "interrupted"
        found = _look_for(submission, error, cause)
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise UserError(f"sbatch refuses {profile.packing(len(tasks))} ({cause})") from error
        submission = found
        say(f"job {submission.job} was accepted, though not so said sbatch ({cause})")
        if isinstance(error, KeyboardInterrupt):
            write_submission(folder, submission)
            raise
    write_submission(folder, submission)
    return folder, submission


def _look_for(submission: Submission, error: BaseException, cause: str) -> Submission | None:
    """The submission with its numbers, where the job was accepted though sbatch did not say so; None where it was not.

    Raises UserError where the queue does not tell: what was written down stays, and is looked for another time.
    """
    refused = isinstance(error, FailedJobError) and "timed out" not in cause.lower()
    for seconds in LOOKS_AFTER[:1] if refused else LOOKS_AFTER:
        time.sleep(seconds)
        try:
            found = submission.found_in(tasks_of_user())
        except QueueError as silence:
            raise UserError(f"sbatch: {cause}; whether job {submission.name} was accepted cannot be asked ({silence}): "
                            "the same command looks for it once that can") from error  # fmt: skip
        if found is not None:
            return found
    return None


def parameters(profile: SlurmProfile, folder: Path) -> dict[str, object]:
    """A profile in submitit's words, without what is left to the cluster."""
    asked = {
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "mem": profile.memory,
        "gpus_per_node": profile.gpus,
    }
    return {
        **{name: value for name, value in asked.items() if value},
        "job_name": job_name(folder),
        "time": profile.time,
        "cpus_per_task": profile.cpus,
        "srun_args": [f"--cpus-per-task={profile.cpus}"],  # since 22.05 srun does not take it from the job
        "signal_delay_s": profile.grace,
        "array_parallelism": profile.array_parallelism,
        "setup": [*profile.setup, *_environment(), task_shell(folder)],
        "additional_parameters": {"requeue": True, **{k: v for k, v in profile.extra.items() if v is not False}},
    }


def job_name(folder: Path) -> str:
    """The job's name, of its submission's folder."""
    return f"petl-bench-{folder.name.rpartition('-')[2]}"


def _environment() -> list[str]:
    """Lines that set in a task what this process reads from its environment."""
    values = {name: os.environ[name] for name in CARRIED if name in os.environ}
    values[CACHE_VARIABLE] = str(cache_folder().absolute())
    return ["export PYTHONSAFEPATH=1", *(f"export {name}={shlex.quote(value)}" for name, value in values.items())]


def task_shell(folder: Path) -> str:
    """Lines before a task's work, which also have it started again where its process is killed; ``folder`` is its
    submission's."""
    codes = "|".join(map(str, DEATHS))
    return (TASK + AFTER_DEATH).format(folder=shlex.quote(str(folder)), codes=codes, most=MOST_DEATHS)
