"""``petl-bench results``: merge trees, clear away what is left over, bring records up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from petl_bench.errors import UserError
from petl_bench.wording import count


def results(
    action: Annotated[
        Literal["merge", "prune", "migrate"],
        typer.Argument(
            help="merge: copy runs of other trees into this one. prune: delete abandoned and damaged runs, and "
            "failures of runs that finished since. migrate: rewrite records as this version writes them."
        ),
    ],
    sources: Annotated[list[Path] | None, typer.Argument(help="merge: the trees to copy from.")] = None,
    tree: Annotated[Path, typer.Option("--results", help="Results folder.", show_default=True)] = Path("results"),
    compact: Annotated[
        bool, typer.Option("--compact", help="merge: without adapters, logits in half precision (to publish results).")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Merge, prune or migrate results trees."""
    from petl_bench.files import writing
    from petl_bench.results import ResultsTree
    from petl_bench.upkeep import merge, migrate, prune

    target = ResultsTree(tree.expanduser())
    if (action == "merge") != bool(sources):
        raise UserError("results merge SOURCE...: name the trees to copy from; prune and migrate take none")
    if compact and action != "merge":
        raise UserError(f"--compact: results merge makes compact copies, {action} changes no logits")
    if action != "merge" and not target.root.is_dir():
        raise UserError(f"--results {tree}: no such folder")
    if action == "merge":
        for source in sources or []:
            if not source.expanduser().is_dir():
                raise UserError(f"results merge {source}: no such folder")
    with writing(f"--results {tree}"):
        if action == "merge":
            trees = [ResultsTree(source.expanduser()) for source in sources or []]
            every = [merge(source, target, compact=compact, dry_run=dry_run) for source in trees]
        else:
            every = [(prune if action == "prune" else migrate)(target, dry_run=dry_run)]
    changes = [line for done in every for line in done.changes]
    for line in [*changes, *(line for done in every for line in done.remarks)]:
        print(line)
    print(f"{count(len(changes), 'change')}{' would be made' if dry_run else ''}")
