"""What a sweep card may hold: a study OVER WHAT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, TypeAdapter, model_validator

from petl_bench.canonical import flat
from petl_bench.cards import Card, SearchDimension, SearchSpace

SPACE: TypeAdapter[SearchSpace] = TypeAdapter(SearchSpace)
RESERVED = ("benchmark", "method", "arm")
Levels = dict[str, Any]
"""A level for each of some factors, by dotted name."""


Pruner = Literal["none", "epoch:median", "epoch:hyperband", "fold:wilcoxon"]


class Search(Card):
    """A search with Optuna: as many ``trials`` for every method on every benchmark.

    objective: a metric of the VALIDATION clips, its mean over folds; nsga2 has the number of trained parameters beside
    it. tuning_seeds: seeds of the trials' runs; the study's own seeds are kept for what comes after the search. space:
    dimensions beside those of the method cards, by factor as in a grid; a table named after a method is for that one
    alone. only: the dimensions that are searched; all where none is named. population: trials per generation of nsga2.
    seed: of the sampler.
    """

    sampler: Literal["tpe", "random", "grid", "nsga2"] = "tpe"
    trials: Annotated[int, Field(gt=0, le=10_000)] = 30
    pruner: Pruner = "none"
    objective: Literal["accuracy", "balanced_accuracy", "macro_f1", "loss"] = "accuracy"
    tuning_seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (1000,)
    space: dict[str, Any] = {}
    only: tuple[str, ...] = ()
    population: Annotated[int, Field(ge=2, le=1000)] = 10
    seed: int = 0

    @model_validator(mode="after")
    def _one_objective_is_pruned(self) -> Search:
        if self.sampler == "nsga2" and self.pruner != "none":
            raise ValueError(f"pruner = {self.pruner}: nsga2 has two objectives, and no trial of it can be pruned")
        if len(set(self.tuning_seeds)) < len(self.tuning_seeds):
            raise ValueError("tuning_seeds: one stands in it twice")
        return self


class Claim(Card):
    """A published difference, in points: what ``levels`` are said to score above the question's baseline.

    ``where``: the levels of other factors that it was found with; it is weighed there alone.
    """

    levels: Annotated[Levels, Field(min_length=1)]
    where: Levels = {}
    points: float
    source: str


class Question(Card):
    """What the study's page answers.

    baseline: the levels that all others are compared with, every other factor being equal. ordered: the factor along
    which a trend is sought. interaction: a factor; is the effect of leaving the baseline the same on its levels?
    margin: points within which levels count as equally good.
    """

    baseline: Levels = {}
    ordered: str = ""
    interaction: str = ""
    margin: PositiveFloat | None = None
    claim: Claim | None = None


class Beside(Card):
    """A published table that stands beside the study's own."""

    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    @model_validator(mode="after")
    def _cells_fill_columns(self) -> Beside:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row needs {len(self.columns)} cells, one per column")
        return self


class Quick(Card):
    """A small version of the study: fewer levels, epochs, seeds, folds, on other data or another backbone."""

    benchmarks: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    backbone: str | None = None
    seeds: tuple[int, ...] | None = None
    folds: tuple[int, ...] | None = None
    epochs: PositiveInt | None = None
    limit: PositiveInt | None = None
    trials: PositiveInt | None = None
    grid: dict[str, Any] = {}
    arms: tuple[str, ...] | None = None


class SweepCard(Card):
    """A study: benchmarks x methods x seeds, and over these either a grid of settings or a search.

    grid: levels by factor; all combinations are run. A table named after a method holds factors of that method alone.
    arms: settings by name, each of which is combined with the whole grid. point: single combinations beside the grid.
    exclude: combinations left out; a list stands for each of its values. figures: beside the study's own,
    ``convergence``, ``gates`` of gated methods, and ``folds`` for a per-fold table. notes: what a reader must know.
    """

    title: str
    benchmarks: Annotated[tuple[str, ...], Field(min_length=1)]
    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    backbone: str | None = None
    profile: Literal["corrected", "published"] = "corrected"
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    grid: dict[str, Any] | None = None
    arms: dict[str, Levels] = {}
    point: tuple[Levels, ...] = ()
    exclude: tuple[Levels, ...] = ()
    search: Search | None = None
    question: Question = Question()
    quick: Quick = Quick()
    figures: tuple[Literal["convergence", "folds", "gates"], ...] = ()
    beside: tuple[Beside, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _grid_or_search(self) -> SweepCard:
        if (self.grid is None) == (self.search is None):
            raise ValueError("give either [grid] or [search]")
        if self.search is not None and (self.arms or self.point or self.exclude or self.figures):
            raise ValueError("a search has no arms, point, exclude or figures: these are for a [grid]")
        return self

    @model_validator(mode="after")
    def _new_seeds_are_new(self) -> SweepCard:
        if self.search is not None and (both := sorted({*self.seeds} & {*self.search.tuning_seeds})):
            raise ValueError(
                f"seeds: {both[0]} is one of search.tuning_seeds; what a search chose is tried on new ones"
            )
        return self

    @model_validator(mode="after")
    def _dimensions_are_whole(self) -> SweepCard:
        for method in self.methods:
            for name in self.space_of(method):
                if name in (*RESERVED, "backbone", "profile", "validation"):
                    raise ValueError(
                        f"search.space: '{name}' is no dimension: a search is of one method on one of each"
                    )
        return self

    @model_validator(mode="after")
    def _nothing_stands_twice(self) -> SweepCard:
        named = {name: getattr(self, name) for name in ("benchmarks", "methods", "seeds")}
        for name, values in {**named, **self.every_factor}.items():
            if not isinstance(values, list | tuple) or not values:
                raise ValueError(f"{name} = {values!r} is not a list of levels")
            if twice := [value for at, value in enumerate(values) if value in values[:at]]:
                raise ValueError(f"{name}: {twice[0]!r} stands in it twice")
        return self

    @model_validator(mode="after")
    def _levels_are_values(self) -> SweepCard:
        levels = [(name, level) for name, levels in self.every_factor.items() for level in levels]
        for name, level in [*levels, *(pair for point in self.point for pair in flat(point).items())]:
            parts = level if isinstance(level, list) else [level]
            if not all(isinstance(part, str | int | float) for part in parts):
                raise ValueError(f"{name} = {level!r} is neither a number, a word nor a list of these")
        for name in self.every_factor:
            if name in RESERVED:
                raise ValueError(f"grid: '{name}' is no factor of its own: use benchmarks, methods or [arms.NAME]")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> SweepCard:
        known, question = self.known_factors, self.question
        claim = question.claim
        said = [("question.ordered", question.ordered), ("question.interaction", question.interaction)]
        said += [("question.baseline", factor) for factor in flat(question.baseline)]
        said += [("exclude", factor) for combination in self.exclude for factor in flat(combination)]
        said += [("question.claim", factor) for factor in flat({**claim.levels, **claim.where} if claim else {})]
        said += [("quick.grid", factor) for factor in _factors_in(self.quick.grid, self.methods)]
        for where, factor in said:
            if factor and factor not in known:
                raise ValueError(f"{where}: '{factor}' is no factor of the study; factors: {', '.join(sorted(known))}")
        if not all(self.exclude):
            raise ValueError("exclude: an empty table leaves nothing")
        for where, arms in (
            ("quick.arms", self.quick.arms or ()),
            ("point", [p["arm"] for p in self.point if "arm" in p]),
        ):
            for arm in arms:
                if arm not in self.arms:
                    raise ValueError(f"{where}: no arm is called '{arm}'; arms: {', '.join(self.arms) or 'none'}")
        for arm, settings in self.arms.items():
            if both := sorted(flat(settings).keys() & self.every_factor.keys()):
                raise ValueError(f"arms.{arm}: '{both[0]}' is a factor of the grid too")
        return self

    @model_validator(mode="after")
    def _question_fits_the_levels(self) -> SweepCard:
        levels = {"benchmark": self.benchmarks, "method": self.methods, "arm": tuple(self.arms), **self.every_factor}
        for factor, level in flat(self.question.baseline).items():
            if factor in levels and level not in levels[factor]:
                raise ValueError(
                    f"question.baseline: {factor} = {level!r} is none of its levels, {list(levels[factor])}"
                )
        ordered = levels.get(self.question.ordered, ())
        if not all(isinstance(level, int | float) and not isinstance(level, bool) for level in ordered):
            raise ValueError(f"question.ordered: the levels of {self.question.ordered} are no numbers")
        return self

    @property
    def every_factor(self) -> dict[str, Any]:
        """Levels by factor, those of single methods too."""
        return {**self.factors, **{k: v for method in self.methods for k, v in self.factors_of(method).items()}}

    @property
    def factors(self) -> dict[str, Any]:
        """The grid that all methods share: levels by dotted factor."""
        return flat({name: levels for name, levels in (self.grid or {}).items() if not self._of_method(name)})

    def factors_of(self, method: str) -> dict[str, Any]:
        """The factors of one method alone."""
        return flat((self.grid or {})[method]) if self._of_method(method) else {}

    def space_of(self, method: str) -> dict[str, SearchDimension]:
        """What a search varies for a method beyond the method card's own dimensions, and in their place."""
        space = self.search.space if self.search is not None else {}
        methods = {Path(name).stem if name.endswith((".toml", ".py")) else name for name in self.methods}
        shared = {name: value for name, value in space.items() if name not in {*methods, method}}
        own = space.get(method, {})
        return SPACE.validate_python({**shared, **own})

    @property
    def own_factors(self) -> set[str]:
        """The factors that some method has for itself."""
        return {factor for method in self.methods for factor in self.factors_of(method)} - self.factors.keys()

    @property
    def known_factors(self) -> set[str]:
        """All that combinations may differ in."""
        single = [factor for point in self.point for factor in flat(point)]
        return {"benchmark", "method", *self.every_factor, *single, *(["arm"] if self.arms else [])}

    def _of_method(self, name: str) -> bool:
        return name in self.methods and isinstance((self.grid or {}).get(name), Mapping)


def _factors_in(grid: Mapping[str, Any], methods: tuple[str, ...]) -> list[str]:
    """The factors that a grid names, without the names of methods above them."""
    tables = [
        flat(levels) if name in methods and isinstance(levels, Mapping) else flat({name: levels})
        for name, levels in grid.items()
    ]
    return [factor for table in tables for factor in table]
