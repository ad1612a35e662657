"""What a sweep card may hold: a study OVER WHAT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from petl_bench.canonical import flat
from petl_bench.cards import Card

Levels = dict[str, Any]
"""A level for each of some factors, by dotted name."""


class Search(Card):
    """An Optuna search; ``objective`` is a metric of the validation clips."""

    sampler: Literal["tpe", "random", "grid", "nsga2"] = "tpe"
    trials: PositiveInt = 20
    pruner: str = "none"
    objective: Literal["accuracy", "balanced_accuracy", "macro_f1", "loss"] = "accuracy"


class Claim(Card):
    """A published difference, in points: what ``levels`` are said to score above the question's baseline."""

    levels: Annotated[Levels, Field(min_length=1)]
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
    grid: dict[str, tuple[Any, ...]] = {}
    arms: tuple[str, ...] | None = None

    @field_validator("grid", mode="before")
    @classmethod
    def _names_are_flat(cls, grid: Any) -> Any:
        return flat(grid) if isinstance(grid, Mapping) else grid


class SweepCard(Card):
    """A study: benchmarks x methods x seeds, and over these either a grid of settings or a search.

    grid: levels by factor; all combinations are run. A table named after a method holds factors of that method alone.
    arms: settings by name, each of which is combined with the whole grid. point: single combinations beside the grid.
    exclude: combinations left out; a list stands for each of its values. figures: ``convergence``, and ``folds`` for a
    per-fold table, beside the study's own figure.
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
    figures: tuple[Literal["convergence", "folds"], ...] = ()
    beside: tuple[Beside, ...] = ()

    @model_validator(mode="after")
    def _grid_or_search(self) -> SweepCard:
        if (self.grid is None) == (self.search is None):
            raise ValueError("give either [grid] or [search]")
        return self

    @model_validator(mode="after")
    def _every_factor_has_levels(self) -> SweepCard:
        for where, factors in (("grid", self.factors), *((name, self.factors_of(name)) for name in self.methods)):
            for factor, levels in factors.items():
                if not isinstance(levels, list | tuple) or not levels:
                    raise ValueError(f"{where}: {factor} = {levels!r} is not a list of levels")
        return self

    @model_validator(mode="after")
    def _names_of_factors_are_known(self) -> SweepCard:
        known = self.known_factors
        said = [("question.ordered", self.question.ordered), ("question.interaction", self.question.interaction)]
        said += [("question.baseline", factor) for factor in self.question.baseline]
        said += [("exclude", factor) for combination in self.exclude for factor in combination]
        said += [("quick.grid", factor) for factor in self.quick.grid]
        for where, factor in said:
            if factor and factor not in known:
                raise ValueError(f"{where}: '{factor}' is no factor of the study; factors: {', '.join(sorted(known))}")
        for arm in self.quick.arms or ():
            if arm not in self.arms:
                raise ValueError(f"quick.arms: no arm is called '{arm}'; arms: {', '.join(self.arms)}")
        return self

    @property
    def factors(self) -> dict[str, Any]:
        """The grid that all methods share: levels by dotted factor."""
        return flat({name: levels for name, levels in (self.grid or {}).items() if not self._of_method(name)})

    def factors_of(self, method: str) -> dict[str, Any]:
        """The factors of one method alone."""
        levels = (self.grid or {}).get(method)
        return flat(levels) if self._of_method(method) and isinstance(levels, Mapping) else {}

    @property
    def known_factors(self) -> set[str]:
        """All that combinations may differ in."""
        own = [factor for method in self.methods for factor in self.factors_of(method)]
        single = [factor for point in self.point for factor in flat(point)]
        return {"benchmark", "method", *self.factors, *own, *single, *(["arm"] if self.arms else [])}

    def _of_method(self, name: str) -> bool:
        return name in self.methods and isinstance((self.grid or {}).get(name), Mapping)
