"""``petl-bench ls``: what there is to run, and what has been run."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from petl_bench.cli._layout import Columns, next_step, results_flag, say
from petl_bench.cli._options import Json, Results
from petl_bench.errors import UserError

Listing = Literal["methods", "benchmarks", "backbones", "sweeps", "runs"]


def ls(
    what: Annotated[Listing | None, typer.Argument(help="What to list. [default: all kinds of cards]")] = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """List methods, benchmarks, backbones, sweeps or runs."""
    kinds: tuple[Listing, ...] = get_args(Listing)[:-1] if what is None else (what,)
    listings = {kind: _rows(kind, results) for kind in kinds}
    if as_json:
        print(json.dumps(listings if what is None else listings[what], indent=2))
        return
    for kind, rows in listings.items():
        if what is None:
            print(f"{kind}:")
        if not rows:
            print(f"no {kind}")
        elif kind == "runs":
            _print_runs(rows)
        else:
            _print_cards(rows, indent="  " if what is None else "")
        if kind == "methods":
            indent = "  " if what is None else ""
            say(f"{indent}peft:NAME, as in peft:dora: the tuners of Hugging Face peft that wrap linear maps")
    if listings.get("runs"):
        next_step(f"petl-bench leaderboard{results_flag(results)}")
    else:
        next_step("petl-bench show NAME", "petl-bench run --methods linear,lora --dataset synthetic")


def _rows(kind: Listing, results: Path) -> list[dict[str, Any]]:
    if kind == "runs":
        return _runs(results)
    if kind == "backbones":
        from petl_bench.registry import BACKBONES

        return [{"name": name, "title": BACKBONES.summary(name)} for name in BACKBONES.names()]
    from petl_bench.card_files import SCHEMAS, card_files, read_card

    rows = []
    files = card_files(kind)
    for file in files.values():
        try:
            schema: Any = SCHEMAS[kind]
            title = _title_in(file.path) if file.path.suffix == ".py" else read_card(file, schema).title
        except UserError as error:
            title = f"wrong: {error}"
        if file.local:
            title = f"{title} ({file.path})"
        rows.append({"name": file.name, "title": title, "origin": str(file.path) if file.local else "built-in"})
    if kind == "methods":
        from petl_bench.registry import METHODS

        plugins = [name for name in METHODS.plugins if name not in files]
        rows += [{"name": name, "title": METHODS.summary(name), "origin": METHODS.origin(name)} for name in plugins]
    return rows


def _title_in(path: Path) -> str:
    """First line of the docstring of the method in a file, a class that can attach; nothing is imported."""
    import ast

    from petl_bench.files import read_text

    try:
        tree = ast.parse(read_text(path))
    except SyntaxError as error:
        raise UserError(f"{path}: {error.msg} (line {error.lineno})") from error
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = [cls for cls in classes if any(getattr(part, "name", "") == "attach" for part in cls.body)]
    docstrings = [ast.get_docstring(cls) for cls in methods or classes]
    return next((text.partition("\n")[0] for text in docstrings if text), path.stem)


def _runs(results: Path) -> list[dict[str, Any]]:
    from petl_bench.records import read_failure
    from petl_bench.results import ResultsTree

    tree = ResultsTree(results.expanduser())
    records, problems = tree.records()
    rows: list[dict[str, Any]] = [
        {
            "run_key": record.run_info.run_key,
            "status": record.run_info.status,
            "benchmark": record.meta_info.dataset_info["name"],
            "backbone": record.meta_info.model_info["name"],
            "method": record.meta_info.method_info.get("name", record.spec.method.implementation),
            "implementation": record.spec.method.implementation,
            "fold": record.spec.fold,
            "seed": record.spec.seed,
            "metric": record.spec.data.metric,
            "test": round(record.train_info.metrics["test"][record.spec.data.metric], 4),
            "partial": record.meta_info.dataset_info["limit"] is not None,
        }
        for record in records
    ]
    done = {row["run_key"] for row in rows}
    for key, path in tree.failures().items():
        if key not in done:
            failure = read_failure(path)
            what = f"{failure.title}: {failure.error}" if failure else f"unreadable: {path}"
            rows.append({"run_key": key, "status": "failed", "error": what})
    rows.extend({"run_key": "", "status": "unreadable", "error": problem} for problem in problems)
    return rows


def _print_cards(rows: list[dict[str, Any]], indent: str) -> None:
    """Names, and titles beside them that go on below themselves where the terminal is narrow."""
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        say(f"{indent}{row['name']:<{width}}  {row['title']}", " " * (len(indent) + width + 2))


def _print_runs(rows: list[dict[str, Any]]) -> None:
    """Runs by benchmark and backbone, what went wrong below them."""
    done = [row for row in rows if "error" not in row]
    done.sort(key=lambda row: tuple(str(row[key]) for key in ("benchmark", "backbone", "method", "partial")))
    columns: Columns = {
        "method": lambda row: row["method"],
        "fold": lambda row: str(row["fold"]),
        "seed": lambda row: str(row["seed"]),
        "test, %": lambda row: f"{100 * row['test']:.2f}",
    }
    for (benchmark, backbone, metric, partial), its in groupby(
        done, key=lambda row: (row["benchmark"], row["backbone"], row["metric"], row["partial"])
    ):
        limited = ", of a part of the clips" if partial else ""
        say(f"{benchmark}, backbone {backbone}: {metric.replace('_', ' ')}{limited}")
        table = sorted(its, key=lambda row: (row["method"], row["fold"], row["seed"]))
        lines = [["run", *columns], *([row["run_key"], *(cell(row) for cell in columns.values())] for row in table)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
        for run, method, *numbers in lines:
            aligned = "".join(f"  {number:>{width}}" for number, width in zip(numbers, widths[2:], strict=True))
            print(f"  {run:<{widths[0]}}  {method:<{widths[1]}}{aligned}")
        print()
    for row in rows:
        if "error" in row:
            say(f"{row['run_key']:<16}  {row['status']}  {row['error']}", "  ")
