"""A SLURM profile: a TOML file that says what an array task asks for and how many runs it does. Free of torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from petl_bench.card_files import check, read_toml
from petl_bench.cards import Card
from petl_bench.errors import UserError

USUAL = Path("slurm.toml")


def _minutes(value: Any) -> Any:
    """Minutes of ``90``, ``"01:30:00"`` or ``"2-12:00:00"``; seconds are rounded up."""
    if not isinstance(value, str):
        return value
    if value.isdigit():
        return int(value)
    match = re.fullmatch(r"(?:(\d{1,3})-)?(\d{1,3}):([0-5]?\d)(?::([0-5]?\d))?", value.strip())
    if match is None:
        raise ValueError("give minutes, as 90, or HH:MM:SS or D-HH:MM:SS")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes + (seconds > 0)


def _size(value: str) -> str:
    if not re.fullmatch(r"\d+[KMGT]?B?|", value):
        raise ValueError("give a size, as 16G")
    return value


class SlurmProfile(Card):
    """What every array task asks for. Empty: the cluster's default.

    time: minutes, or HH:MM:SS. memory: of a task, as ``"16G"``. gpus: a number, or ``"a100:1"``. array_parallelism:
    tasks that run at a time. setup: lines of shell before the runs. grace: seconds before the time limit at which runs
    are asked to leave. extra: further options of sbatch, without dashes.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    time: Annotated[PositiveInt, BeforeValidator(_minutes)] = 60
    memory: Annotated[str, AfterValidator(_size)] = ""
    cpus: PositiveInt = 2
    gpus: Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[\w.-]+(:\d+)?$")] = 0
    array_parallelism: PositiveInt = 100
    runs_per_task: PositiveInt = 1
    setup: tuple[str, ...] = ()
    grace: Annotated[int, Field(ge=1)] = 120
    extra: dict[str, str | int | bool] = {}

    @model_validator(mode="after")
    def _leaves_in_time(self) -> SlurmProfile:
        if self.grace >= 60 * self.time:
            raise ValueError(f"grace = {self.grace} s is not below time = {self.time} min")
        return self

    def asks(self) -> str:
        """What a task asks for, in words."""
        places = ("partition", "account", "qos", "constraint")
        parts = [f"{name} {value}" for name in places if (value := getattr(self, name))]
        parts += [f"{self.cpus} CPU{'s' * (self.cpus > 1)}"]
        parts += [f"GPUs {self.gpus}"] * bool(self.gpus) + [f"memory {self.memory}"] * bool(self.memory)
        parts += [f"{self.time // 60}:{self.time % 60:02}:00"]
        return ", ".join([*parts, *(f"{name} {value}" for name, value in self.extra.items())])

    def packing(self, runs: int) -> str:
        """How so many runs would be packed, in words."""
        tasks = -(-runs // self.runs_per_task)
        each = f"of up to {self.runs_per_task} runs" if self.runs_per_task > 1 else "of one run"
        at_a_time = f", at most {self.array_parallelism} at a time" if tasks > self.array_parallelism else ""
        return f"{tasks} array task{'s' * (tasks != 1)} {each}{at_a_time}; each asks for {self.asks()}"


def read_profile(path: Path | None) -> SlurmProfile:
    """The profile in a file; None: ``slurm.toml`` where there is one. Raises UserError, file and key named."""
    if path is None and not USUAL.is_file():
        return SlurmProfile()
    path = (path or USUAL).expanduser()
    if not path.is_file():
        raise UserError(f"--slurm-profile {path}: no such file")
    return check(SlurmProfile, read_toml(path), str(path))
