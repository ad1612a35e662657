"""``petl-bench sweep``: run a study over settings and write the page that answers its question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petl_bench.cli._layout import next_step, say
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
    SaveAdapters,
    SlurmProfileFile,
    Track,
    count,
    duration,
    read_execution,
    read_names,
    read_numbers,
)

if TYPE_CHECKING:
    from petl_bench.sweeps.study import Forecast


UNMARKED = ("data_dir", "allow_pickle")
"""Options that leave a study what its card says."""


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
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try runs again that failed before.")] = False,
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
    from petl_bench.sweeps.grid import Options, points, quick

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
    said = ", ".join([*["its quick version"] * small, *mark])
    execution = read_execution(
        executor,
        device,
        jobs,
        checkpoint_every,
        gradient_checkpointing,
        allow_parts,
        frozen_states,
        save_adapters,
        slurm_profile,
        detach,
        track,
    )
    page = out / (file.name + "-quick" * small + "-varied" * bool(mark))
    if study.search is not None:
        from petl_bench.cli._search import Asked, run_search

        asked = Asked(file, options, results.expanduser(), page, said, storage, retry_failed, plan)
        run_search(study, asked, execution)
        return
    try:
        chosen = points(study, options)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error
    if data_dir is not None and len({point.choice.benchmark for point in chosen}) > 1:
        raise UserError(f"--data-dir {data_dir}: the study has several data sets; set PETL_BENCH_DATA to their parent")

    from petl_bench.adapters.find import note_on_missing
    from petl_bench.files import writing
    from petl_bench.index import read_runs
    from petl_bench.results import ResultsTree
    from petl_bench.sweeps.page import write_page
    from petl_bench.sweeps.study import forecast, prepare, train

    tree = ResultsTree(results.expanduser())
    benches = prepare(chosen, execution.devices[0])
    records = [run.record for run in read_runs(tree)[0]] if tree.root.is_dir() else []
    forecasts = [forecast(bench, tree, records) for bench in benches]
    say(f"{study.title}\n")
    for line in _plan(forecasts):
        say(line, "  ")
    if plan:
        left = sum(of.runs - (of.done or 0) for of in forecasts if of.done is not None)
        if executor == "slurm" and left:
            say(execution.cluster.profile.packing(left), "  ")
        next_step(f"the same command without --plan; the page will be {page / 'README.md'}")
        return
    here, absent = [b for b in benches if b.workbench is not None], [b for b in benches if b.workbench is None]
    if not here:
        raise UserError(absent[0].lacking)

    from rich.console import Console

    from petl_bench.cli._screen import Screen

    failed = []
    with Screen(Console()) as screen:
        if executor == "slurm" and not detach and len(here) > 1:  # all are to wait in the queue, not one after another
            submitting = execution.model_copy(update={"cluster": execution.cluster.model_copy(update={"detach": True})})
            for bench in here:
                train(bench, tree, screen, submitting, retry_failed=retry_failed)
        for bench in here:
            failed += train(bench, tree, screen, execution, retry_failed=retry_failed).failed
    if detach:
        next_step("the same command without --detach waits for the runs and writes the page")
        return
    if save_adapters:
        keys = [key for bench in here for key in bench.runs]
        for line in note_on_missing(keys, tree):
            say(line)
    indexed = {run.record.run_info.run_key: run for run in read_runs(tree)[0]}
    reasons = [f"{run.title}: {reason}" for run, reason in failed]
    with writing(f"--out {out}"):
        for path in write_page(study, benches, indexed, tree.run_folders(), page, said, reasons):
            print(path)
    for bench in absent:
        typer.echo(f"petl-bench: not run: {bench.lacking}", err=True)
    if failed:
        screen.list_failures(failed)
    if failed or absent:
        raise typer.Exit(1)


def _plan(forecasts: list[Forecast]) -> list[str]:
    """What would be run, a line per data set and backbone."""
    lines = []
    for of in forecasts:
        runs = f"{of.bench.name}: {count(len(of.bench.points), 'combination')}, {count(of.runs, 'run')}"
        if of.done is None:
            lines.append(f"{runs}; how many are done cannot be told: {of.basis}")
        elif of.done == of.runs:
            lines.append(f"{runs}, all on record")
        else:
            failed = f", {of.failed} failed before" if of.failed else ""
            took = f"about {duration(of.seconds or 0)} ({of.basis})" if of.basis else "nothing left to train"
            lines.append(f"{runs}, {of.done} on record{failed}; {took}")
        if of.bench.workbench is not None:
            lines += [f"  {note}" for note in of.bench.workbench.notes_on_input()]
    return lines


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
