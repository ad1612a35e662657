"""A study as runs: its combinations planned, counted, estimated and trained. Runs are shared with every other study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from petl_bench.canonical import digest
from petl_bench.errors import AbsentError
from petl_bench.execution import Execution
from petl_bench.executors.base import Reporter
from petl_bench.plan import Plan, PlannedRun, Request, given_settings, make_plan
from petl_bench.records import RunRecord
from petl_bench.results import ResultsTree
from petl_bench.runner import Outcome, run_plan
from petl_bench.settings import resolve_settings
from petl_bench.sweeps.estimate import Throughput
from petl_bench.sweeps.grid import Point

if TYPE_CHECKING:
    from petl_bench.workbench import Workbench


@dataclass
class Bench:
    """The combinations of a study that share a data set and a backbone, and the workbench that trains them."""

    points: list[Point]
    workbench: Workbench | None = None
    lacking: str = ""
    """Why there is no workbench: what is not on this machine."""
    plans: list[Plan] = field(default_factory=list)
    """The runs of every combination, in their order; empty without a workbench. One run may serve two combinations."""

    @property
    def request(self) -> Request:
        return self.points[0].request

    @property
    def name(self) -> str:
        choice = self.points[0].choice
        return f"{choice.benchmark}, backbone {choice.card.backbone}"

    @property
    def runs(self) -> dict[str, PlannedRun]:
        """The planned runs by key, each once."""
        return {run.key: run for plan in self.plans for run in plan}

    @property
    def run_count(self) -> int:
        """Runs there are to be, those that serve two combinations once."""
        if self.workbench is not None:
            return len(self.runs)
        runs = {
            (experiment(point), fold, seed)
            for point in self.points
            for fold in point.request.folds or range(1, point.choice.card.protocol.folds + 1)
            for seed in point.request.seeds
        }
        return len(runs)


def prepare(points: Sequence[Point], device: str) -> list[Bench]:
    """The combinations by data set and backbone, each planned as far as what it needs is here.

    Raises UserError where a name is wrong or a setting does not fit the backbone.
    """
    from petl_bench.workbench import Workbench, opening_of

    benches: dict[tuple[str, str], Bench] = {}
    for point in points:
        card = point.choice.card
        benches.setdefault((point.choice.benchmark, card.backbone), Bench([])).points.append(point)
    for bench in benches.values():
        request, choice = bench.request, bench.points[0].choice
        try:
            bench.workbench = Workbench.open(opening_of(request, choice), device)
        except AbsentError as error:
            bench.lacking = str(error)
            continue
        for point in bench.points:
            plan = make_plan(point.request, point.choice, bench.workbench.subject)
            bench.plans.append(tuple(replace(run, label=point.label) for run in plan))
    return list(benches.values())


def experiment(point: Point) -> str:
    """What two combinations that are the same experiment share, as far as cards tell."""
    request, choice = point.request, point.choice
    method = choice.methods[0]
    given = given_settings(request, method)
    config, optimizer = resolve_settings(method, choice.benchmark, choice.card.backbone, given)
    code = (method.implementation.name, method.implementation.source)
    return digest([choice.card, code, config, optimizer, choice.switches, request.precision])


@dataclass(frozen=True)
class Forecast:
    """What a bench will take. ``done`` and ``seconds`` are None where they cannot be known."""

    bench: Bench
    runs: int
    done: int | None
    failed: int
    seconds: float | None
    basis: str


def forecast(bench: Bench, tree: ResultsTree, records: Sequence[RunRecord]) -> Forecast:
    """Runs, those on record, and seconds for the rest from measured throughput; ``records`` are the tree's."""
    if bench.workbench is None:
        return Forecast(bench, bench.run_count, None, 0, None, bench.lacking)
    runs = bench.runs
    done = runs.keys() & tree.run_folders().keys()
    failed = (runs.keys() & tree.failures().keys()) - done
    throughput = Throughput(bench.workbench, records)
    seconds = throughput.seconds([run for key, run in runs.items() if key not in done | failed])
    return Forecast(bench, bench.run_count, len(done), len(failed), seconds, throughput.basis)


def train(
    bench: Bench, tree: ResultsTree, reporter: Reporter, execution: Execution, *, retry_failed: bool = False
) -> Outcome:
    """Train what the tree does not hold yet."""
    assert bench.workbench is not None
    return run_plan(tuple(bench.runs.values()), bench.workbench, tree, reporter, execution, retry_failed=retry_failed)


def shared(bench: Bench) -> int:
    """Runs that serve more than one combination."""
    return sum(number > 1 for number in Counter(run.key for plan in bench.plans for run in plan).values())
