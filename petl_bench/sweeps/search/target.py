"""What a search tunes: one method on one benchmark, and how values become runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from petl_bench.canonical import digest
from petl_bench.errors import AbsentError, UserError, nearest
from petl_bench.plan import Plan, make_plan
from petl_bench.sweeps.card import Levels, Search, SweepCard
from petl_bench.sweeps.grid import Options, Point, request_of
from petl_bench.sweeps.search.pruning import Axis, axis_of
from petl_bench.sweeps.search.space import Space, dimensions_of, space_of

if TYPE_CHECKING:
    from petl_bench.workbench import Workbench


@dataclass
class Target:
    """A method on a benchmark. ``default``: its cards as they are, under the study's own seeds."""

    card: SweepCard
    search: Search
    options: Options
    default: Point
    space: Space
    workbench: Workbench | None = None
    lacking: str = ""
    """Why there is no workbench: what is not on this machine."""

    @property
    def method(self) -> str:
        return str(self.default.levels["method"])

    @property
    def benchmark(self) -> str:
        return str(self.default.levels["benchmark"])

    @property
    def title(self) -> str:
        return f"{self.method} on {self.benchmark}, backbone {self.default.choice.card.backbone}"

    @property
    def folds(self) -> tuple[int, ...]:
        """The outer folds."""
        return self.default.request.folds or tuple(range(1, self.default.choice.card.protocol.folds + 1))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that the search does not use: for what comes after it."""
        return self.default.request.seeds

    @cached_property
    def trials(self) -> int:
        """Trials that the search is to have: as many as the card says, or as a grid has combinations."""
        wanted = self.search.trials
        return min(wanted, len(self.space.every())) if self.search.sampler == "grid" else wanted

    @property
    def runs_per_trial(self) -> int:
        return len(self.folds) * len(self.search.tuning_seeds)

    def plan(
        self, levels: Levels, seeds: Sequence[int], label: str, *, folds: Sequence[int] = (), search: str = ""
    ) -> Plan:
        """The runs of the method with these levels. Raises UserError where they are not allowed."""
        assert self.workbench is not None
        options = replace(self.options, seeds=tuple(seeds), folds=tuple(folds) or self.options.folds)
        asked = self.default.request  # names as they were given: a card may be found by its path alone
        names = {"benchmark": asked.dataset, "method": asked.methods[0]}
        request, choice = request_of(self.card, options, {**levels, **names})
        return tuple(
            replace(run, label=label, search=search) for run in make_plan(request, choice, self.workbench.subject)
        )

    @cached_property
    def axis(self) -> Axis:
        """The step axis of the study. Raises UserError where the pruner does not fit."""
        card, search = self.default.choice.card, self.search
        uneven = sorted({"epochs", "training.epochs", "budget"} & self.space.dimensions.keys())
        if search.pruner.startswith("epoch:") and uneven:
            raise UserError(f"pruner {search.pruner}: {uneven[0]} is searched, and trials of unequal length have no "
                            "steps in common")  # fmt: skip
        classes = self.workbench.subject.class_count if self.workbench is not None else 2
        return axis_of(search, self.runs_per_trial, card.training.epochs, classes, card.metric)

    @cached_property
    def study(self) -> str:
        """The name of the Optuna study: everything that decides what a trial is, but not how many there are."""
        search = self.search.model_dump(exclude={"trials", "space"})
        run = self.plan({}, self.search.tuning_seeds, "")[0].spec
        identity = digest([run.config_key(), dict(self.space.dimensions), search, list(self.folds)], 8)
        card = self.default.choice.card
        return f"{self.method} on {self.benchmark}, {card.backbone}, {self.search.sampler}, {identity}"


def targets(card: SweepCard, options: Options) -> list[Target]:
    """Every method on every benchmark of a search, names and settings looked up and checked.

    Raises UserError where one of them is wrong; nothing but cards and code is read.
    """
    assert card.search is not None
    found: list[Target] = []
    known: set[str] = set()
    for benchmark in options.benchmarks or card.benchmarks:
        for method in options.methods or card.methods:
            request, choice = request_of(card, options, {"benchmark": benchmark, "method": method})
            if both := sorted({*request.seeds} & {*card.search.tuning_seeds}):
                raise UserError(
                    f"--seeds: {both[0]} is a tuning seed of the search; what it chose is tried on new ones"
                )
            chosen = choice.methods[0]
            of = (card, chosen.name, chosen.card, choice.benchmark, choice.card.backbone)
            known |= dimensions_of(*of).keys()
            space = space_of(*of)
            names = {"benchmark": choice.benchmark, "method": chosen.name}
            target = Target(card, card.search, options, Point(names, request, choice), space)
            if card.search.sampler == "grid":
                space.every()  # or there is none
            for name in space.dimensions:
                for level in space.ends(name):
                    given = {"benchmark": benchmark, "method": method, name: level}
                    try:
                        request_of(card, options, given)
                    except UserError as error:
                        whole = "; step = 1 makes a range whole" if "valid integer" in str(error) else ""
                        raise UserError(f"search space of {chosen.name}, {name}: {error}{whole}") from error
            found.append(target)
    for name in card.search.only:
        if name not in known:
            raise UserError(f"search.only: no method has a dimension '{name}'{nearest(name, known)}")
    return found


def open_workbenches(found: Sequence[Target], device: str) -> None:
    """Give targets their workbenches, as far as what they need is here; one for a data set and a backbone.

    Raises UserError where a dimension has a choice that the backbone does not allow.
    """
    from petl_bench.workbench import Workbench, opening_of

    opened: dict[tuple[str, str], Workbench | str] = {}
    for target in found:
        choice = target.default.choice
        name = (choice.benchmark, choice.card.backbone)
        if name not in opened:
            try:
                opened[name] = Workbench.open(opening_of(target.default.request, choice), device)
            except AbsentError as error:
                opened[name] = str(error)
        workbench = opened[name]
        if isinstance(workbench, str):
            target.lacking = workbench
            continue
        target.workbench = workbench
        _check_space(target)
        _ = target.axis


def _check_space(target: Target) -> None:
    for name in target.space.dimensions:
        for level in target.space.ends(name):
            try:
                target.plan({name: level}, target.search.tuning_seeds, "")
            except UserError as error:
                backbone = target.default.choice.card.backbone
                raise UserError(
                    f"search space of {target.method}, {name}: {error} (a card can say otherwise for a backbone: "
                    f"[search_space_for.{backbone}])"
                ) from error
