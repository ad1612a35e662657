"""``petl-bench folds``: the per-fold table that papers print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from petl_bench.cli._options import Json, Results


def folds(
    method: Annotated[str, typer.Argument(help="A method or variant, as the leaderboard calls it.")],
    results: Results = Path("results"),
    dataset: Annotated[str | None, typer.Option(help="Only this benchmark.")] = None,
    paper_std: Annotated[
        bool, typer.Option("--paper-std", help="Standard deviation with ddof 0, as many papers print it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the per-fold table that papers print."""
    from petl_bench.leaderboard.board import read_tables, titles, with_methods
    from petl_bench.leaderboard.folds import fold_lines, mean_and_sd
    from petl_bench.results import ResultsTree

    found, folders = [], ResultsTree(results.expanduser()).run_folders()
    tables = with_methods(read_tables(results)[0], (method,), dataset, results)
    for table, called in zip(tables, titles(tables), strict=True):
        for row in table.rows:
            lines = fold_lines(row.runs, folders)
            sds = {part: mean_and_sd([getattr(line, part) for line in lines], population=paper_std) for part in PARTS}
            found.append(
                {
                    "title": f"{method} on {called}",
                    "metric": table.spec.data.metric,
                    "folds": [vars(line) for line in lines],
                    "mean": {part: mean for part, (mean, _) in sds.items()},
                    "sd": {part: sd for part, (_, sd) in sds.items()},
                    "ddof": 0 if paper_std else 1,
                }
            )
    print(json.dumps(found, indent=1) if as_json else "\n\n".join(map(_text, found)))


PARTS = ("validation", "test")


def _text(data: dict[str, Any]) -> str:
    def line(head: str, values: dict[str, float | None]) -> str:
        cells = ["-" if values[part] is None else f"{100 * (values[part] or 0):.2f}" for part in PARTS]
        return f"{head:<8}{cells[0]:>12}{cells[1]:>8}"

    lines = [
        f"{data['title']}: {data['metric'].replace('_', ' ')}, percent",
        f"{'fold':<8}{'validation':>12}{'test':>8}",
    ]
    lines += [line(str(fold["fold"]), fold) for fold in data["folds"]]
    lines += [line("mean", data["mean"]), line(f"sd ({data['ddof']})", data["sd"])]
    seeds = {fold["seeds"] for fold in data["folds"]}
    lines.append(f"seeds per fold: {', '.join(map(str, sorted(seeds)))}; sd between folds, ddof {data['ddof']}")
    return "\n".join(lines)
