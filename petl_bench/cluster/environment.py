"""Which options of sbatch are the executor's own, and what SLURM's programs get to see of this process's environment.

Variables stand above the lines of a batch script (sbatch(1), input environment variables), filter what squeue answers,
and tell a process inside of a task which task it is: none of that may be said of another job. Free of torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

OWN: Mapping[str, tuple[str, ...]] = {
    "job-name": ("SBATCH_JOB_NAME",),
    "array": ("SBATCH_ARRAY_INX",),
    "output": ("SBATCH_OUTPUT",),
    "error": ("SBATCH_ERROR",),
    "signal": ("SBATCH_SIGNAL",),
    "open-mode": ("SBATCH_OPEN_MODE",),
    "requeue": ("SBATCH_REQUEUE",),
    "no-requeue": ("SBATCH_NO_REQUEUE",),
    "nodes": (),
    "ntasks": (),
    "ntasks-per-node": (),
    "wait": ("SBATCH_WAIT",),
    "wrap": (),
    "parsable": (),
    "quiet": (),
    "test-only": (),
}
"""Options by which tasks are found, kept and started again, with the variables that say the same."""
FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "partition": ("partition", ("SBATCH_PARTITION",)),
    "account": ("account", ("SBATCH_ACCOUNT",)),
    "qos": ("qos", ("SBATCH_QOS",)),
    "constraint": ("constraint", ("SBATCH_CONSTRAINT",)),
    "time": ("time", ("SBATCH_TIMELIMIT",)),
    "mem": ("memory", ("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU")),
    "cpus-per-task": ("cpus", ("SBATCH_CPUS_PER_TASK",)),
    "gpus-per-node": ("gpus", ("SBATCH_GPUS_PER_NODE",)),
}
"""Options that a key of the profile says, with that key and the variables that say the same."""
CONNECTION = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT"})
"""How SLURM is reached: all that a submission from inside of a task has of the task's SLURM variables."""


def for_asking() -> dict[str, str]:
    """This process's environment without what filters or alters the answers of squeue and the doings of scancel."""
    filters = ("SQUEUE_", "SCANCEL_", "SCONTROL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(filters)}


def for_submitting(asked: Mapping[str, object]) -> dict[str, str]:
    """This process's environment without what stands above the executor's options, or what the profile ``asked`` for.

    Inside of a task also without what says which task that is: sbatch passes on what it has.
    """
    said = list(OWN.values())
    said += [variables for key, variables in FIELDS.values() if asked.get(key)]
    dropped = {name for variables in said for name in variables}
    if "SLURM_JOB_ID" in os.environ:
        dropped |= {name for name in os.environ if name.startswith("SLURM_") and name not in CONNECTION}
    return {name: value for name, value in for_asking().items() if name not in dropped}


@contextmanager
def environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """This process without the variables that ``wanted`` lacks: submitit starts sbatch with what the process has."""
    lacking = {name: os.environ.pop(name) for name in os.environ.keys() - wanted.keys()}
    try:
        yield
    finally:
        os.environ.update(lacking)
