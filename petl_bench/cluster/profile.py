"""A SLURM profile: a TOML file that says what an array task asks for and how many runs it does. Free of torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from petl_bench.card_files import check, read_toml
from petl_bench.cards import Card
from petl_bench.cluster.environment import FIELDS, OWN
from petl_bench.errors import UserError
from petl_bench.wording import count

USUAL = Path("slurm.toml")


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("give a number")
    return value


def _minutes(value: Any) -> Any:
    """Minutes of a time as sbatch reads it (sbatch(1), --time); seconds are rounded up."""
    if not isinstance(value, str):
        return _no_truth(value)
    match = re.fullmatch(r"(?:(\d{1,3})-)?(\d{1,6})(?::(\d{1,4}))?(?::(\d{1,4}))?", value.strip())
    if match is None:
        raise ValueError("give minutes, as 90, or MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS")
    days, *parts = (int(part) if part else None for part in match.groups())
    given = [part for part in parts if part is not None]
    if days is not None:
        hours, minutes, seconds = [*given, 0, 0][:3]
    elif len(given) == 3:
        hours, minutes, seconds = given
    else:
        hours, minutes, seconds = [0, *given, 0][:3]
    return ((days or 0) * 24 + hours) * 60 + minutes + -(-seconds // 60)


def _size(value: str) -> str:
    """A size as sbatch reads it (sbatch(1), --mem), its unit in upper case."""
    if not re.fullmatch(r"(\d+([KMGT]B?)?)?", value, re.IGNORECASE):
        raise ValueError("give a whole number and its unit, K, M, G or T, as 16G")
    return value.upper()


def _others(extra: dict[str, Any]) -> dict[str, Any]:
    """Options that are left to the profile: sbatch takes long options by their beginning too."""
    for key in extra:
        option = key.replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z0-9-]+", option):
            raise ValueError(f"'{key}' is no option of sbatch: give its long name, without dashes before it")
        for own in [*FIELDS, *OWN]:
            if own.startswith(option) and option != "gpus":
                instead = f"say {FIELDS[own][0]} = ... in its place" if own in FIELDS else "the executor sets it itself"
                raise ValueError(f"'{key}' cannot be set here: {instead}")
    return extra


Count = Annotated[PositiveInt, BeforeValidator(_no_truth)]


class SlurmProfile(Card):
    """What every array task asks for. Empty: the cluster's default.

    time: as SLURM reads it: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS. memory: of a task, as ``"16G"``.
    gpus: a number, or ``"a100:1"``. array_parallelism: tasks that run at a time. setup: lines of shell before the runs.
    grace: seconds before the time limit at which runs are asked to leave. extra: further options of sbatch, without
    dashes before them, that are not said here or by the executor.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    time: Annotated[PositiveInt, BeforeValidator(_minutes)] = 60
    memory: Annotated[str, AfterValidator(_size)] = ""
    cpus: Count = 2
    gpus: Annotated[
        Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[\w.-]+(:\d+)?$")], BeforeValidator(_no_truth)
    ] = 0
    array_parallelism: Count = 100
    runs_per_task: Count = 1
    setup: tuple[str, ...] = ()
    grace: Count = 120
    extra: Annotated[dict[str, str | int | bool], AfterValidator(_others)] = {}

    @model_validator(mode="after")
    def _leaves_in_time(self) -> SlurmProfile:
        if self.grace >= 60 * self.time:
            raise ValueError(f"grace = {self.grace} s is not below time = {self.time} min")
        return self

    def asks(self) -> str:
        """What a task asks for, in words."""
        places = ("partition", "account", "qos", "constraint")
        parts = [f"{name} {value}" for name in places if (value := getattr(self, name))]
        parts += [count(self.cpus, "CPU")]
        parts += [f"GPUs {self.gpus}"] * bool(self.gpus) + [f"memory {self.memory}"] * bool(self.memory)
        parts += [f"{self.time // 60}:{self.time % 60:02}:00"]
        return ", ".join([*parts, *(f"{name} {value}" for name, value in self.extra.items())])

    def packing(self, runs: int) -> str:
        """How so many runs would be packed, in words."""
        tasks = -(-runs // self.runs_per_task)
        each = f"of up to {self.runs_per_task} runs" if self.runs_per_task > 1 else "of one run"
        at_a_time = f", at most {self.array_parallelism} at a time" if tasks > self.array_parallelism else ""
        return f"{count(tasks, 'array task')} {each}{at_a_time}; each asks for {self.asks()}"


def read_profile(path: Path | None) -> SlurmProfile:
    """The profile in a file; None: ``slurm.toml`` where there is one. Raises UserError, file and key named."""
    if path is None and not USUAL.is_file():
        return SlurmProfile()
    path = (path or USUAL).expanduser()
    if not path.is_file():
        raise UserError(f"--slurm-profile {path}: no such file")
    return check(SlurmProfile, read_toml(path), str(path))
