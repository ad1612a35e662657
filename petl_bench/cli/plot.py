"""``petl-bench plot``: figures of a results tree, as PNG and SVG."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from petl_bench.cli._options import Results


def plot(
    kind: Annotated[Literal["convergence"], typer.Argument(help="convergence: loss and accuracy by epoch and fold.")],
    methods: Annotated[list[str], typer.Argument(help="Methods or variants, as the leaderboard calls them.")],
    results: Results = Path("results"),
    dataset: Annotated[str | None, typer.Option(help="Only this benchmark.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures.", show_default=True)] = Path("figures"),
) -> None:
    """Draw a figure per table that holds the methods."""
    from petl_bench.canonical import digest
    from petl_bench.files import writing
    from petl_bench.leaderboard.board import read_tables, with_methods
    from petl_bench.leaderboard.figures import Curve, convergence, save
    from petl_bench.leaderboard.folds import read_epochs
    from petl_bench.results import ResultsTree

    folders = ResultsTree(results.expanduser()).run_folders()
    for table in with_methods(read_tables(results)[0], methods, dataset, results):
        runs = [(row.name.text, run.record) for row in table.rows for run in row.runs]
        curves = [
            Curve(method, record.spec.fold, record.spec.seed, read_epochs(folders[record.run_info.run_key]))
            for method, record in runs
        ]
        title = f"{table.benchmark}, backbone {table.backbone}, profile {table.profile}"
        parts = [kind, table.benchmark, table.backbone, digest(table.conditions, 6), *sorted(methods)]
        name = re.sub(r"[^\w.-]+", "-", "-".join(parts))
        with writing(f"--out {out}"):
            paths = save(convergence(curves, title), out, name)
        for path in paths:
            print(path)
