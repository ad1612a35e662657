"""``petl-bench compare``: differences between methods with intervals, tests and verdicts in words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from petl_bench.cli._options import Json, Results, read_names


def compare(
    names: Annotated[
        list[str] | None, typer.Argument(help="Methods or variants, as the leaderboard calls them. [default: all]")
    ] = None,
    results: Results = Path("results"),
    dataset: Annotated[str | None, typer.Option(help="Benchmarks, between commas. [default: all]")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only runs on this backbone.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only runs of this profile.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Compare each with this one, chosen before the results were seen.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Points within which methods count as equally good, fixed beforehand.")
    ] = None,
    across: Annotated[
        Literal["backbone", "switches"] | None,
        typer.Option(help="Compare also what was run on other backbones, or under other switches."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Further tests.")] = False,
    as_json: Json = False,
) -> None:
    """Compare methods: differences, intervals, verdicts."""
    from petl_bench.leaderboard.comparison import compare_rows

    compared = compare_rows(
        results,
        names or (),
        datasets=read_names("--dataset", dataset) if dataset else (),
        backbone=backbone,
        profile=profile,
        baseline=baseline,
        margin=margin,
        across=across,
    )
    if as_json:
        print(json.dumps(vars(compared), indent=1, allow_nan=False))
        return
    from petl_bench.cli._compared import print_over_datasets, print_table
    from petl_bench.cli._layout import next_step, results_flag

    for table_data in compared.tables:
        print_table(table_data, margin=margin, verbose=verbose)
    for group_data in compared.over_datasets:
        print_over_datasets(group_data, compared.tables)
    for problem in compared.left_out:
        typer.echo(f"petl-bench: left out: {problem}", err=True)
    against = f" --baseline {shlex.quote(baseline)}" if baseline else ""
    next_step(f"petl-bench plot differences{against}{results_flag(results)}")
