"""How ``sweep`` runs a card that is a search: plan, conduct, try the winners under new seeds, write the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from petl_bench.cli._layout import next_step, say
from petl_bench.cli._screen import Screen
from petl_bench.errors import UserError
from petl_bench.sweeps.grid import brief
from petl_bench.wording import count, duration

if TYPE_CHECKING:
    from petl_bench.cli.sweep import Asked
    from petl_bench.execution import Execution
    from petl_bench.plan import PlannedRun
    from petl_bench.records import RunRecord
    from petl_bench.results import ResultsTree
    from petl_bench.sweeps.card import SweepCard
    from petl_bench.sweeps.search.target import Target


class SearchScreen(Screen):
    """A search's reporter: one line per trial. What runs made of test clips is not shown."""

    def search_begins(self, title: str, wanted: int, finished: int, epochs: int) -> None:
        self.wanted, self.epochs = wanted, epochs
        self.others: int | None = None
        self.epochs_done.clear()
        self._hide_all()
        self.say(f"{title}: {count(wanted, 'trial')}, {finished} on record")

    def stopped(self) -> str:
        return "stopped; the same command goes on from here"

    def run_ended(self, run: PlannedRun) -> None:
        self._hide(run)
        self.epochs_done[run.key] = run.spec.training.epochs

    def trial_ended(self, number: int, finished: int, levels: dict[str, Any], outcome: str) -> None:
        said = ", ".join(f"{name} {brief(level)}" for name, level in levels.items())
        self.say(f"[{finished}/{self.wanted}] trial {number}: {outcome} ({said})")

    def others_try(self, trials: int) -> None:
        if trials != self.others:
            what = f"{count(trials, 'trial')} that others conduct" if trials else "runs that others train"
            self.say(f"waiting for {what}")
        self.others = trials

    def _hide_all(self) -> None:
        for name in list(self.tasks):
            self.progress.remove_task(self.tasks.pop(name))


def run_search(card: SweepCard, asked: Asked, execution: Execution) -> None:
    """Raises UserError where a name or a setting is wrong, or no data is here; exits with 1 where runs failed."""
    from petl_bench.card_files import check
    from petl_bench.index import read_records
    from petl_bench.results import ResultsTree
    from petl_bench.sweeps.card import SweepCard
    from petl_bench.sweeps.search.study import journal_of, trials_on_record
    from petl_bench.sweeps.search.target import open_workbenches, targets

    if (trials := asked.options.trials) is not None:
        data = card.model_dump(exclude_unset=True)
        data["search"] = {**data["search"], "trials": trials}
        card = check(SweepCard, data, str(asked.file.path))
    try:
        found = targets(card, asked.options)
        data_dir = asked.options.data_dir
        if data_dir is not None and len({target.benchmark for target in found}) > 1:
            raise UserError(f"--data-dir {data_dir}: there are several data sets; set PETL_BENCH_DATA to their parent")
        open_workbenches(found, execution.devices[0])
    except UserError as error:
        raise UserError(f"{asked.file.path}: {error}") from error
    tree = ResultsTree(asked.results)
    print(f"{card.title}\n")
    done = trials_on_record(found, asked.storage, journal_of(tree, asked.file.name), tree)
    for line in _plan(found, done, read_records(tree)):
        say(line, "    ")
    if asked.plan_only:
        next_step(f"the same command without --plan; the page will be {asked.page / 'README.md'}")
        return
    here = [target for target in found if target.workbench is not None]
    if not here:
        raise UserError(found[0].lacking)
    _conduct(card, asked, execution, tree, here, [target for target in found if target.workbench is None])


def _conduct(
    card: SweepCard,
    asked: Asked,
    execution: Execution,
    tree: ResultsTree,
    here: Sequence[Target],
    absent: Sequence[Target],
) -> None:
    from rich.console import Console

    from petl_bench.adapters.find import note_on_missing
    from petl_bench.files import writing
    from petl_bench.index import read_runs
    from petl_bench.runner import run_plan
    from petl_bench.sweeps.search.study import journal_of, open_storage, search
    from petl_bench.sweeps.tuned.answers import evaluation_of
    from petl_bench.sweeps.tuned.page import write_page

    tree.prepare()
    storage = open_storage(asked.storage, journal_of(tree, asked.file.name))
    failed, results = [], []
    with SearchScreen(Console()) as screen:
        for target in here:
            searched = search(target, storage, tree, screen, execution, retry_failed=asked.retry_failed)
            evaluation = evaluation_of(searched)
            assert target.workbench is not None
            screen.say(f"{target.title}: its winners and its card under seeds that the search did not use")
            plan = tuple(evaluation.runs)
            outcome = run_plan(plan, target.workbench, tree, screen, execution, retry_failed=asked.retry_failed)
            if execution.save_adapters:
                for line in note_on_missing((run.key for run in plan), tree):
                    screen.say(line)
            failed += outcome.failed
            results.append((searched, evaluation))
    lines = [f"{target.title}: not run here, {target.lacking}" for target in absent]
    lines += [f"failed: {run.title}: {reason}" for run, reason in failed]
    indexed = {run.record.run_info.run_key: run for run in read_runs(tree)[0]}
    with writing(f"--out {asked.page.parent}"):
        for path in write_page(
            card, results, indexed, tree.run_folders(), asked.page, origin=asked.origin, lines=lines
        ):
            print(path)
    for target in absent:
        typer.echo(f"petl-bench: not run: {target.lacking}", err=True)
    if failed:
        screen.list_failures(failed)
    without = [searched for searched, _ in results if searched.pooled is None]
    for searched in without:
        typer.echo(f"petl-bench: {searched.target.title}: no trial is complete, the page has the causes", err=True)
    if failed or absent or without:
        raise typer.Exit(1)


def _plan(found: Sequence[Target], done: Sequence[int], records: Sequence[RunRecord]) -> list[str]:
    """What would be run, a line per method and benchmark, and the dimensions below it; ``done``: trials on record."""
    from petl_bench.sweeps.estimate import Throughput
    from petl_bench.sweeps.search.space import show_dimension

    lines = []
    for target, finished in zip(found, done, strict=True):
        trials, folds, seeds = target.trials, len(target.folds), len(target.seeds)
        after = (3 if folds > 1 else 2) * folds * seeds
        recorded = "" if not finished else ", all on record" if finished == trials else f", {finished} on record"
        lines.append(
            f"{target.title}: {count(trials, 'trial')} ({target.search.sampler}, pruner {target.search.pruner}) of "
            f"{count(target.runs_per_trial, 'run')}{recorded}, then up to {after} under new seeds"
        )
        if target.workbench is None:
            lines.append(f"  not here: {target.lacking}")
        else:
            throughput = Throughput(target.workbench, records)
            runs = target.plan({}, target.search.tuning_seeds, "")
            seconds = throughput.seconds(runs) * (trials - finished + after / len(runs))
            takes = f"about {duration(seconds)} if they all take as long as the card as it is"
            lines.append(f"  {takes} ({throughput.basis})")
            lines += [f"  {note}" for note in target.workbench.notes_on_input()]
        lines += [f"  {name}: {show_dimension(dimension)}" for name, dimension in target.space.dimensions.items()]
    if len(found) > 1 and len({target.trials for target in found}) == 1:
        lines.append(f"every method has the same budget: {count(found[0].trials, 'trial')}")
    return lines
