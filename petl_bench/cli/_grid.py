"""How ``sweep`` runs a card that is a grid: plan, train what is lacking on every bench, write the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from petl_bench.cli._layout import next_step, say
from petl_bench.cli._screen import Screen
from petl_bench.errors import UserError
from petl_bench.wording import count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from petl_bench.cli.sweep import Asked
    from petl_bench.execution import Execution
    from petl_bench.plan import PlannedRun
    from petl_bench.results import ResultsTree
    from petl_bench.sweeps.card import SweepCard
    from petl_bench.sweeps.study import Bench, Forecast


def run_grid(card: SweepCard, asked: Asked, execution: Execution) -> None:
    """Raises UserError where a name or a setting is wrong, or no data is here; exits with 1 where runs failed."""
    from petl_bench.files import writing
    from petl_bench.index import read_records, read_runs
    from petl_bench.results import ResultsTree
    from petl_bench.sweeps.grid import points
    from petl_bench.sweeps.page import write_page
    from petl_bench.sweeps.study import forecast, prepare

    try:
        chosen = points(card, asked.options)
    except UserError as error:
        raise UserError(f"{asked.file.path}: {error}") from error
    data_dir = asked.options.data_dir
    if data_dir is not None and len({point.choice.benchmark for point in chosen}) > 1:
        raise UserError(f"--data-dir {data_dir}: the study has several data sets; set PETL_BENCH_DATA to their parent")
    tree = ResultsTree(asked.results)
    benches = prepare(chosen, execution.devices[0])
    records = read_records(tree)
    forecasts = [forecast(bench, tree, records) for bench in benches]
    say(f"{card.title}\n")
    for line in _plan(forecasts):
        say(line, "  ")
    if asked.plan_only:
        left = sum(of.runs - (of.done or 0) for of in forecasts if of.done is not None)
        if execution.executor == "slurm" and left:
            say(execution.cluster.profile.packing(left), "  ")
        if not any(bench.workbench for bench in benches):
            say(f"not without data: {benches[0].lacking}", "  ")
            return
        next_step(f"the same command without --plan; the page will be {asked.page / 'README.md'}")
        return
    here = [bench for bench in benches if bench.workbench is not None]
    absent = [bench for bench in benches if bench.workbench is None]
    if not here:
        raise UserError(absent[0].lacking)

    from rich.console import Console

    with Screen(Console()) as screen:
        failed = _train(here, tree, screen, execution, retry_failed=asked.retry_failed)
    if execution.cluster.detach:
        next_step("the same command without --detach waits for the runs and writes the page")
        return
    if execution.save_adapters:
        from petl_bench.adapters.find import note_on_missing

        for line in note_on_missing([key for bench in here for key in bench.runs], tree):
            say(line)
    indexed = {run.record.run_info.run_key: run for run in read_runs(tree)[0]}
    reasons = [f"{run.title}: {reason}" for run, reason in failed]
    with writing(f"--out {asked.page.parent}"):
        for path in write_page(
            card, benches, indexed, tree.run_folders(), asked.page, origin=asked.origin, failures=reasons
        ):
            print(path)
    for bench in absent:
        typer.echo(f"petl-bench: not run: {bench.lacking}", err=True)
    if failed:
        screen.list_failures(failed)
    if failed or absent:
        raise typer.Exit(1)


def _train(
    benches: Sequence[Bench], tree: ResultsTree, screen: Screen, execution: Execution, *, retry_failed: bool
) -> list[tuple[PlannedRun, str]]:
    """Train what the tree lacks, bench by bench; the runs that failed, with their reasons."""
    from petl_bench.sweeps.study import train

    if execution.executor == "slurm" and not execution.cluster.detach and len(benches) > 1:
        detached = execution.model_copy(update={"cluster": execution.cluster.model_copy(update={"detach": True})})
        for bench in benches:  # all are to wait in the queue, not one after another
            train(bench, tree, screen, detached, retry_failed=retry_failed)
    outcomes = [train(bench, tree, screen, execution, retry_failed=retry_failed) for bench in benches]
    return [failed for outcome in outcomes for failed in outcome.failed]


def _plan(forecasts: Sequence[Forecast]) -> list[str]:
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
