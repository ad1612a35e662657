"""``petl-bench profile``: what methods cost on a backbone: operations, speed, memory, and where a step's time goes."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from petl_bench.cli._layout import next_step, results_flag
from petl_bench.cli._options import (
    AllowPickle,
    BackboneName,
    BatchSize,
    DataDir,
    Dataset,
    Json,
    Limit,
    Methods,
    PrecisionName,
    ProfileName,
    Results,
    SettingValues,
    SwitchValues,
    read_names,
)
from petl_bench.errors import UserError

if TYPE_CHECKING:
    from petl_bench.plan import Request


def profile(
    methods: Methods,
    dataset: Dataset,
    backbone: BackboneName = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    batch_size: BatchSize = None,
    precision: PrecisionName = "fp32",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto; one of them is measured on.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch. [default: torch's own]")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Steps that are timed; the median counts.")] = 5,
    profile: ProfileName = "corrected",
    switches: SwitchValues = None,
    limit: Limit = None,
    settings: SettingValues = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Measure what methods cost, each in a process of its own.

    The figures are kept in the results folder, and the leaderboard shows them. Exit code 1 where a method failed.
    """
    from petl_bench.plan import Request, choose, make_plan

    request = Request(
        methods=read_names("--methods", methods),
        dataset=dataset,
        backbone=backbone,
        data_dir=data_dir,
        folds=(1,),
        batch_size=batch_size,
        precision=precision,
        profile=profile,
        switches=tuple(switches or ()),
        limit=limit,
        allow_pickle=allow_pickle,
        settings=tuple(settings or ()),
    )
    choice = choose(request)

    import torch
    from rich.console import Console

    from petl_bench.cli._profiled import print_json, print_profiles
    from petl_bench.devices import find_devices
    from petl_bench.files import writing
    from petl_bench.profiling.apart import FailedApartError, apart
    from petl_bench.profiling.matmul import matmul_gflops_per_second
    from petl_bench.profiling.measure import ProfileRequest, measure
    from petl_bench.profiling.profiles import FOLDER, Profile, write_profile
    from petl_bench.results import ResultsTree
    from petl_bench.workbench import Workbench, opening_of

    place, threads = find_devices(device)[0], threads or torch.get_num_threads()
    if threads > (most := max(torch.get_num_threads(), os.cpu_count() or 1)):
        raise UserError(f"--threads {threads}: this machine has {most} processors")
    tree = ResultsTree(results.expanduser())
    opening = opening_of(request, choice)
    workbench = Workbench.open(opening, place)
    plan = make_plan(request, choice, workbench.subject)
    tree.prepare()
    with writing(f"--results {results}"):
        (tree.root / FOLDER).mkdir(exist_ok=True)

    outcomes: list[tuple[str, Profile | str]] = []
    with Console(stderr=True).status("features") as status:
        workbench.features(
            workbench.model_input, lambda done, total: status.update(f"features: {done:,} of {total:,} clips")
        )
        status.update("matrix multiplication")
        try:
            matmul = apart(matmul_gflops_per_second, place, precision, threads, repeats)
        except FailedApartError as error:
            raise UserError(f"--device {device}: a matrix multiplication fails on {place}: {error}") from error
        for run in plan:
            status.update(f"{run.method}, {len(outcomes) + 1} of {len(plan)}")
            try:
                measured = apart(measure, ProfileRequest(run, opening, place, threads, repeats, matmul))
            except FailedApartError as error:
                outcomes.append((run.method, str(error)))
            else:
                with writing(f"--results {results}"):
                    write_profile(tree.root, measured)
                outcomes.append((run.method, measured))

    if as_json:
        print_json(outcomes)
    else:
        about = workbench.source.description.note
        of_backbone = [f"backbone {workbench.source.label}: {about}"] if about else []
        of_methods = [run.remark for run in plan if run.remark]
        kept = [f"kept in {tree.root / FOLDER}"] if any(not isinstance(it, str) for _, it in outcomes) else []
        print_profiles(plan, outcomes, [*of_methods, *choice.notes, *of_backbone, *kept])
        if tree.run_folders():
            next_step(f"petl-bench leaderboard{results_flag(results)} --html (a page; costs are among the details)")
        else:
            next_step(f"petl-bench run {_flags(request)}{results_flag(results)}")
    if any(isinstance(outcome, str) for _, outcome in outcomes):
        raise typer.Exit(1)


def _flags(request: Request) -> str:
    """The flags that ask ``run`` for what was measured."""
    flags = {
        "--methods": ",".join(request.methods),
        "--dataset": request.dataset,
        "--backbone": request.backbone,
        "--data-dir": request.data_dir,
        "--batch-size": request.batch_size,
        "--precision": None if request.precision == "fp32" else request.precision,
        "--profile": None if request.profile == "corrected" else request.profile,
        "--limit": request.limit,
    }
    given = [(flag, value) for flag, value in flags.items() if value is not None]
    given += [("--switch", value) for value in request.switches] + [("--set", value) for value in request.settings]
    return " ".join(f"{flag} {shlex.quote(str(value))}" for flag, value in given)
