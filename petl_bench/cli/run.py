"""``petl-bench run``: train every (method, fold, seed), record each run, print the table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petl_bench.cli._options import (
    AllowParts,
    AllowPickle,
    BackboneName,
    BatchSize,
    CheckpointEvery,
    DataDir,
    Dataset,
    Detach,
    Device,
    Executor,
    Folds,
    FrozenStates,
    GradientCheckpointing,
    Jobs,
    Limit,
    Methods,
    PrecisionName,
    ProfileName,
    Results,
    RetryFailed,
    SaveAdapters,
    SettingValues,
    SlurmProfileFile,
    SwitchValues,
    Track,
    read_execution,
    read_names,
    read_numbers,
)
from petl_bench.wording import count, duration


def run(
    methods: Methods,
    dataset: Dataset,
    backbone: BackboneName = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    seeds: Annotated[str, typer.Option(help="Base seeds, as in 0,1,2 or 0-2; a test wants three.")] = "0",
    folds: Folds = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs. [default: the benchmark card's]")] = None,
    batch_size: BatchSize = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate. [default: each method card's]")] = None,
    precision: PrecisionName = "fp32",
    device: Device = "auto",
    jobs: Jobs = 1,
    profile: ProfileName = "corrected",
    switches: SwitchValues = None,
    limit: Limit = None,
    settings: SettingValues = None,
    force: Annotated[bool, typer.Option("--force", help="Train finished runs again and replace them.")] = False,
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
    plan_only: Annotated[bool, typer.Option("--plan", help="Only say what would be run, and for how long.")] = False,
) -> None:
    """Train every (method, fold, seed) and print a table.

    What is on record is not trained again: an interrupted study goes on with the same command.
    """
    from petl_bench.plan import Request, choose

    request = Request(
        methods=read_names("--methods", methods),
        dataset=dataset,
        backbone=backbone,
        data_dir=data_dir,
        seeds=read_numbers("--seeds", seeds),
        folds=None if folds is None else read_numbers("--folds", folds),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        precision=precision,
        profile=profile,
        switches=tuple(switches or ()),
        limit=limit,
        allow_pickle=allow_pickle,
        settings=tuple(settings or ()),
    )
    choice = choose(request)

    from rich.console import Console

    from petl_bench.adapters.find import note_on_missing
    from petl_bench.cli._screen import Screen
    from petl_bench.cli._table import print_summary
    from petl_bench.results import ResultsTree
    from petl_bench.runner import run_plan
    from petl_bench.workbench import open_plan

    tree = ResultsTree(results.expanduser())
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
    plan, workbench = open_plan(request, choice, execution.devices[0])

    if plan_only:
        runs = {run.key: run for run in plan}
        done = set() if force else runs.keys() & tree.run_folders().keys()
        failed = set() if force or retry_failed else (runs.keys() & tree.failures().keys()) - done
        left = [run for key, run in runs.items() if key not in done | failed]
        print(
            f"{count(len(plan), 'run')}, {len(done)} on record" + (f", {len(failed)} failed before" if failed else "")
        )
        if left and executor == "slurm":
            print(execution.cluster.profile.packing(len(left)))
        elif left:
            from petl_bench.index import read_records
            from petl_bench.sweeps.estimate import Throughput

            throughput = Throughput(workbench, read_records(tree))
            print(f"about {duration(throughput.seconds(left))} one after the other ({throughput.basis})")
        return

    console = Console()
    with Screen(console) as screen:
        outcome = run_plan(plan, workbench, tree, screen, execution, force=force, retry_failed=retry_failed)
    if detach and not outcome.failed:
        return
    missing = note_on_missing((planned.key for planned in plan), tree) if save_adapters else []
    print_summary(plan, tree, choice.card.metric, [*missing, *choice.notes, *workbench.notes()])
    if outcome.failed:
        screen.list_failures(outcome.failed)
        raise typer.Exit(1)
