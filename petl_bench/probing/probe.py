"""A probe: how well a linear head tells the classes apart behind every frozen layer, with confidence bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveInt

from petl_bench.plan import Plan
from petl_bench.probing.heads import Outcome, train_heads
from petl_bench.probing.states import layer_states
from petl_bench.records import Part
from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.describe import describe
from petl_bench.stats.scores import RunScores, Scores, collect
from petl_bench.workbench import Workbench

SCHEMA_VERSION = 1
Criterion = Literal["accuracy", "gain"]
CRITERIA: dict[Criterion, tuple[str, str]] = {
    "accuracy": ("whose output separates the classes best", "whose outputs separate the classes best"),
    "gain": (
        "whose output separates the classes better than its input does, by most",
        "whose outputs separate the classes better than their inputs do, by most",
    ),
}
"""What layers are chosen for, as goes on from "layer" and from "layers"."""


class Depth(Part):
    """Accuracies, as fractions, of heads on the input (``layer`` None) or behind a layer, counted from 0.

    ``low`` and ``high``: 95% interval of ``test``, over sources of clips and runs; None where there is none.
    """

    layer: NonNegativeInt | None
    validation: float
    test: float
    low: float | None
    high: float | None


class Probe(Part):
    """What a probe found, and under which conditions."""

    schema_version: int = SCHEMA_VERSION
    benchmark: str
    backbone: str
    backbone_note: str = ""
    seeds: tuple[int, ...]
    folds: tuple[PositiveInt, ...]
    epochs: PositiveInt
    lr: float
    depths: tuple[Depth, ...]

    def gains(self) -> list[float]:
        """By layer: what the validation accuracy behind it is above the one before it."""
        scores = [depth.validation for depth in self.depths]
        return [after - before for before, after in pairwise(scores)]

    def most_useful(self, count: int, by: Criterion) -> tuple[int, ...]:
        """The ``count`` layers that a criterion prefers on validation clips, ascending; of equal ones the first."""
        worth = self.gains() if by == "gain" else [depth.validation for depth in self.depths[1:]]
        order = sorted(range(len(worth)), key=lambda layer: (-worth[layer], layer))
        return tuple(sorted(order[:count]))


def probe(plan: Plan, workbench: Workbench, progress: Callable[[int, int], None] = lambda done, of: None) -> Probe:
    """Train heads on the frozen states of every depth, for the folds and seeds of a plan of the linear probe.

    Raises UserError where features or states cannot be had.
    """
    targets = torch.from_numpy(workbench.dataset.targets)
    outcomes = []
    for done, run in enumerate(plan):
        progress(done, len(plan))
        split = workbench.split(run.spec)
        states = torch.from_numpy(layer_states(run.spec, workbench, split)[np.arange(len(targets))])
        outcomes.append(train_heads(states, targets, split, run.spec))
    first = plan[0]
    return Probe(
        benchmark=first.benchmark,
        backbone=first.backbone,
        backbone_note=workbench.source.description.note,
        seeds=tuple(dict.fromkeys(run.spec.seed for run in plan)),
        folds=tuple(dict.fromkeys(run.spec.fold for run in plan)),
        epochs=first.spec.training.epochs,
        lr=first.spec.training.optimizer.lr,
        depths=tuple(
            _depth(at, outcomes, _scores(at, plan, outcomes, workbench)) for at in range(len(outcomes[0].test))
        ),
    )


def _depth(at: int, outcomes: Sequence[Outcome], scores: Scores) -> Depth:
    about = describe(scores)
    assert isinstance(about.score, float)
    interval = None if isinstance(about.interval, NotAvailable) else about.interval
    return Depth(
        layer=at - 1 if at else None,
        validation=float(np.mean([outcome.validation[at].mean() for outcome in outcomes])),
        test=about.score,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def _scores(at: int, plan: Plan, outcomes: Sequence[Outcome], workbench: Workbench) -> Scores:
    dataset, runs = workbench.dataset, []
    for run, outcome in zip(plan, outcomes, strict=True):
        split = workbench.split(run.spec)
        ids, sources = dataset.ids[split.test], dataset.groups[split.test]
        ratio = len(split.test) / len(split.train)
        values = outcome.test[at].astype(np.float64)
        runs.append(RunScores(run.spec.fold, run.spec.seed, ids, values, sources, ratio))
    return collect("probe", runs, sorted({run.spec.fold for run in plan}))
