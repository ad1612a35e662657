"""``petl-bench sweep``: run a study over settings and write the page that answers its question."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petl_bench.cli._options import (
    AllowParts,
    AllowPickle,
    CheckpointEvery,
    Detach,
    Device,
    Executor,
    FrozenStates,
    GradientCheckpointing,
    Jobs,
    Results,
    RetryFailed,
    SaveAdapters,
    SlurmProfileFile,
    Track,
    read_execution,
    read_names,
    read_numbers,
)

if TYPE_CHECKING:
    from petl_bench.card_files import CardFile
    from petl_bench.sweeps.card import SweepCard
    from petl_bench.sweeps.grid import Options
    from petl_bench.sweeps.origin import Origin

UNMARKED = ("data_dir", "allow_pickle")
"""Options that leave a study what its card says."""


@dataclass(frozen=True)
class Asked:
    """What the command line says of a study."""

    file: CardFile
    options: Options
    results: Path
    page: Path
    origin: Origin
    storage: str | None
    retry_failed: bool
    plan_only: bool


def sweep(
    card: Annotated[str, typer.Argument(help="Sweep card or its path.")],
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be run, and for how long.")] = False,
    small: Annotated[bool, typer.Option("--quick", help="The card's small version; its page is marked.")] = False,
    dataset: Annotated[str | None, typer.Option(help="Benchmarks, between commas. [default: the card's]")] = None,
    methods: Annotated[str | None, typer.Option(help="Methods, between commas. [default: the card's]")] = None,
    backbone: Annotated[str | None, typer.Option(help="As of run. [default: the benchmark card's]")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the data set, where there is one. [default: $PETL_BENCH_DATA/<name>]")
    ] = None,
    results: Results = Path("results"),
    seeds: Annotated[str | None, typer.Option(help="Base seeds, as in 0-2. [default: the card's]")] = None,
    folds: Annotated[str | None, typer.Option(help="Test folds. [default: all]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs. [default: the benchmark card's]")] = None,
    precision: Annotated[
        Literal["fp32", "bf16"] | None, typer.Option(help="As of run, where the card says nothing. [default: fp32]")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of a search. [default: the card's]")] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="URL of a search's trials, as Optuna has them. [default: a journal in the results folder]"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most N clips per class in every fold or list.")] = None,
    device: Device = "auto",
    jobs: Jobs = 1,
    out: Annotated[Path, typer.Option(help="Folder below which the study's page goes.", show_default=True)] = Path(
        "leaderboard"
    ),
    retry_failed: RetryFailed = False,
    checkpoint_every: CheckpointEvery = None,
    gradient_checkpointing: GradientCheckpointing = False,
    allow_parts: AllowParts = False,
    frozen_states: FrozenStates = True,
    save_adapters: SaveAdapters = False,
    allow_pickle: AllowPickle = False,
    executor: Executor = "local",
    slurm_profile: SlurmProfileFile = None,
    detach: Detach = False,
    track: Track = None,
) -> None:
    """Run a study or a search and write its page.

    Runs are shared with every other study and with run: what is on record is not trained again. The page of a quick
    version, or of one that flags change, has a folder of its own.
    """
    from petl_bench.card_files import find_card, read_card
    from petl_bench.errors import UserError
    from petl_bench.sweeps.card import SweepCard
    from petl_bench.sweeps.grid import Options, quick
    from petl_bench.sweeps.origin import Origin

    file = find_card("sweeps", card)
    study = read_card(file, SweepCard)
    if study.search is None and (trials is not None or storage is not None):
        name = "--trials" if trials is not None else "--storage"
        raise UserError(f"{name}: {file.path} is a grid; a search has trials, as the card tune")
    options = Options(
        benchmarks=None if dataset is None else read_names("--dataset", dataset),
        methods=None if methods is None else read_names("--methods", methods),
        backbone=backbone,
        data_dir=data_dir,
        seeds=None if seeds is None else read_numbers("--seeds", seeds),
        folds=None if folds is None else read_numbers("--folds", folds),
        epochs=epochs,
        precision=precision,
        limit=limit,
        trials=trials,
        allow_pickle=allow_pickle or None,
    )
    given = options
    if small:
        study, options = quick(study, options)
    mark = [
        f"{name} {_listed(value)}" for name, value in vars(given).items() if value is not None and name not in UNMARKED
    ]
    origin = Origin(", ".join([*[_small(study, options, given)] * small, *mark]), _command(card, given, small=small))
    execution = read_execution(
        executor=executor,
        device=device,
        slurm_profile=slurm_profile,
        detach=detach,
        track=track,
        jobs=jobs,
        checkpoint_every=checkpoint_every,
        gradient_checkpointing=gradient_checkpointing,
        allow_parts=allow_parts,
        frozen_states=frozen_states,
        save_adapters=save_adapters,
    )
    page = out / (file.name + "-quick" * small + "-varied" * bool(mark))
    asked = Asked(file, options, results.expanduser(), page, origin, storage, retry_failed, plan)
    if study.search is None:
        from petl_bench.cli._grid import run_grid

        run_grid(study, asked, execution)
    else:
        from petl_bench.cli._search import run_search

        run_search(study, asked, execution)


def _small(study: SweepCard, options: Options, given: Options) -> str:
    """The quick version, with what its command does not show."""
    from petl_bench.leaderboard.pages import ranges

    said = [] if given.seeds else [f"seeds {ranges(options.seeds or study.seeds)}"]
    said += [f"folds {ranges(options.folds)}"] if options.folds and not given.folds else []
    return "its quick version" + f" ({', '.join(said)})" * bool(said)


def _command(card: str, given: Options, *, small: bool) -> str:
    """The command line of a study without what leaves it what it is: places, devices, workers."""
    flags = {"benchmarks": "--dataset"}
    parts = ["petl-bench", "sweep", Path(card).name if Path(card).is_absolute() else card, *["--quick"] * small]
    for name, value in vars(given).items():
        if value is not None and name not in UNMARKED:
            parts += [flags.get(name, f"--{name}"), _listed(value).replace(", ", ",")]
    return shlex.join(parts)


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
