"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from petl_bench.errors import UserError, nearest

if TYPE_CHECKING:
    from petl_bench.execution import Execution

Methods = Annotated[str, typer.Option(help="Method cards, card paths or path.py:Class, between commas.")]
Dataset = Annotated[str, typer.Option(help="Benchmark card or card path.")]
BackboneName = Annotated[
    str | None, typer.Option(help="mini, a checkpoint folder or a hub name. [default: the benchmark card's]")
]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data set. [default: $PETL_BENCH_DATA/<benchmark>]")]
BatchSize = Annotated[int | None, typer.Option(help="Batch size. [default: the benchmark card's]")]
PrecisionName = Annotated[Literal["fp32", "bf16"], typer.Option(help="fp32, or bf16 autocast.")]
ProfileName = Annotated[
    Literal["corrected", "published"], typer.Option(help="All switches as they should be, or as the paper's code.")
]
SwitchValues = Annotated[
    list[str] | None, typer.Option("--switch", metavar="NAME=VALUE", help="One switch; may be repeated.")
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most this many clips per class in every fold or list (a trial run).")
]
SettingValues = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME.KEY=VALUE", help="Override a card's value; may be repeated."),
]
Folds = Annotated[str | None, typer.Option(help="Test folds, as in 1,2 or 1-3. [default: all]")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try runs again that failed before.")]
Results = Annotated[Path, typer.Option(help="Results folder.", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option(help="cpu, cuda (every GPU), cuda:0,cuda:2 or auto.")]
Jobs = Annotated[int, typer.Option(min=1, help="Worker processes per device, one run each at a time.")]
CheckpointEvery = Annotated[
    int | None, typer.Option(min=1, help="Epochs between checkpoints. [default: each, but one a minute at most]")
]
GradientCheckpointing = Annotated[
    bool, typer.Option("--gradient-checkpointing", help="Compute activations twice instead of keeping them.")
]
FrozenStates = Annotated[
    bool,
    typer.Option(
        "--frozen-states/--no-frozen-states",
        help="Compute once, and keep in the cache, what layers that a method leaves alone make of every clip.",
    ),
]
AllowParts = Annotated[
    bool, typer.Option("--allow-parts", help="Where memory runs out, let BatchNorm see parts of a batch.")
]
SaveAdapters = Annotated[
    bool, typer.Option("--save-adapters", help="Keep what was trained with each run, for export and predict.")
]
TrainedOn = Annotated[
    str | None, typer.Option("--backbone", help="Where the backbone is. [default: its name is looked up as by run]")
]
MethodCode = Annotated[
    str | None, typer.Option("--method-code", help="path.py of a method that is neither built in nor installed.")
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Take weights from pytorch_model.bin where there are no safetensors.")
]
Executor = Annotated[
    str, typer.Option(help="Where runs are trained: local (worker processes), slurm (a cluster) or in_process.")
]
SlurmProfileFile = Annotated[
    Path | None,
    typer.Option("--slurm-profile", help="TOML file of what SLURM is asked for. [default: slurm.toml, if there]"),
]
Detach = Annotated[bool, typer.Option("--detach", help="With --executor slurm: submit, and do not wait.")]
Track = Annotated[str | None, typer.Option(help="Trackers that follow the runs, between commas: tensorboard, wandb.")]


def read_execution(
    *, executor: str, device: str, slurm_profile: Path | None, detach: bool, track: str | None, **fields: Any
) -> Execution:
    """How runs are trained, from the options of that name. Raises UserError where one is wrong.

    ``fields`` are fields of ``Execution`` that are taken as they are given.
    """
    from petl_bench.cluster.profile import read_profile
    from petl_bench.devices import find_devices
    from petl_bench.execution import Cluster, Execution
    from petl_bench.registry import EXECUTORS, TRACKERS

    cls = EXECUTORS.load(executor).cls
    if not cls.trains_elsewhere and (slurm_profile is not None or detach):
        raise UserError(f"{'--detach' if detach else '--slurm-profile'}: only with --executor slurm")
    cls.check_available()
    trackers = () if track is None else read_names("--track", track)
    for name in trackers:
        if name not in (known := TRACKERS.names()):
            raise UserError(f"--track {track}: unknown '{name}'{nearest(name, known)}; known: {', '.join(known)}")
    cluster = Cluster()
    if cls.trains_elsewhere:
        cluster = Cluster(profile=read_profile(slurm_profile), device=device, detach=detach)
    return Execution(
        executor=executor,
        devices=find_devices("cpu" if cls.trains_elsewhere else device),
        trackers=trackers,
        cluster=cluster,
        **fields,
    )


def read_numbers(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers and ranges, ``0,1,2`` or ``0-4``, each once, in the order given. Raises UserError."""
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if match is None:
            raise UserError(f"{option} {text}: give whole numbers, as in 0,1,2 or 0-2")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + 10_000:
            raise UserError(f"{option} {text}: '{part.strip()}' is no range from low to high")
        numbers.extend(range(first, last + 1))
    return tuple(dict.fromkeys(numbers))


def read_names(option: str, text: str) -> tuple[str, ...]:
    """Names between commas, each once. Raises UserError where one is empty."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UserError(f"{option} '{text}': give names between commas, as in conformer,lora")
    return tuple(dict.fromkeys(names))
