"""``petl-bench export``: a run's trained adapter as a folder to keep and share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from petl_bench.cli._layout import next_step
from petl_bench.cli._options import AllowPickle, MethodCode, Results, TrainedOn


def export(
    run: Annotated[str, typer.Argument(help="A run: its folder, or the beginning of its key.")],
    to: Annotated[Path, typer.Option(help="Folder to write; one that holds something is refused.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="A checkpoint and a head: the update folded into the weights.")
    ] = False,
    results: Results = Path("results"),
    backbone: TrainedOn = None,
    method_code: MethodCode = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Write a trained adapter with its configuration and a model card.

    Of a run that was trained with --save-adapters. LoRA also as peft reads it.
    """
    from petl_bench.adapters.find import adapter_of_run, find_run

    found = find_run(run, results)
    adapter_of_run(found)

    from petl_bench.adapters.export import export_run
    from petl_bench.adapters.model import Needs
    from petl_bench.files import writing

    to = to.expanduser()
    with writing(f"--to {to}"):
        lacking = export_run(found, to, Needs(backbone, method_code, allow_pickle), merge=merge)
    for line in lacking:
        typer.echo(f"petl-bench: {line}", err=True)
    for path in sorted(to.rglob("*")):
        if path.is_file():
            print(path)
    where = shlex.quote(str(to))
    if merge:
        next_step(f"petl-bench run --methods linear --dataset DATASET --backbone {where}")
    else:
        next_step(f"petl-bench predict {where} FILE...")
