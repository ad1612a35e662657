"""Small real searches for tests: a target, a reporter that remembers, the mini backbone on generated clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from petl_bench.card_files import check
from petl_bench.execution import Execution
from petl_bench.plan import PlannedRun
from petl_bench.results import ResultsTree
from petl_bench.sweeps.card import SweepCard
from petl_bench.sweeps.grid import Options
from petl_bench.sweeps.search.ledger import RUNS
from petl_bench.sweeps.search.storage import open_journal
from petl_bench.sweeps.search.study import Searched, search
from petl_bench.sweeps.search.target import Target, open_workbenches, targets
from tests.studies import IN_PROCESS, Log

SPACE = {"lr": {"low": 1e-3, "high": 1e-1, "log": True}}

SMALL = Options(folds=(1, 2), epochs=1, limit=2)


class SearchLog(Log):
    """A search's reporter that remembers."""

    def __init__(self, **of_log: Any) -> None:
        super().__init__(**of_log)
        self.trials: list[tuple[int, str]] = []
        self.epochs = 0

    def search_begins(self, title: str, wanted: int, finished: int, epochs: int) -> None: ...
    def run_ended(self, run: PlannedRun) -> None: ...
    def others_try(self, trials: int) -> None: ...

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        self.epochs += 1

    def trial_ended(self, number: int, finished: int, levels: dict[str, Any], outcome: str) -> None:
        self.trials.append((number, outcome))


def target_of(options: Options = SMALL, method: str = "linear", **of_search: Any) -> Target:
    of_search = {"trials": 4, "sampler": "random", "space": SPACE, **of_search}
    data = {"title": "x", "benchmarks": ["synthetic"], "methods": [method], "search": of_search}
    found = targets(check(SweepCard, data, "card"), options)
    open_workbenches(found, "cpu")
    return found[0]


def conduct(
    root: Path, target: Target, log: SearchLog | None = None, execution: Execution = IN_PROCESS, **more: Any
) -> Searched:
    tree = ResultsTree(root)
    return search(target, open_journal(root / "a.journal"), tree, log or SearchLog(), execution, **more)


def states(found: Searched) -> list[str]:
    return [trial.state.name for trial in found.trials]


def told(trial: FrozenTrial) -> tuple[Any, ...]:
    """A trial without when and under which number it was tried."""
    runs = [{name: run[name] for name in ("fold", "seed", "metrics", "parameters")} for run in trial.user_attrs[RUNS]]
    return trial.params, trial.values, json.dumps(runs)
