"""The search space: from the dimensions of cards to Optuna's distributions, and from a trial's values to levels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from petl_bench.cards import MethodCard, SearchDimension
from petl_bench.errors import UserError
from petl_bench.sweeps.card import Levels, SweepCard
from petl_bench.sweeps.grid import MOST_COMBINATIONS

Values = dict[str, Any]
"""A trial's values as Optuna keeps them: a list is its JSON text there."""


@dataclass(frozen=True)
class Space:
    """The dimensions of one search by factor, as a grid names factors."""

    dimensions: Mapping[str, SearchDimension]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distribution of every dimension."""
        return {name: _distribution(dimension) for name, dimension in self.dimensions.items()}

    def levels(self, values: Mapping[str, Any]) -> Levels:
        """A trial's values as levels of a study."""
        lists = {name: {_kept(c): c for c in d.choices} for name, d in self.dimensions.items() if d.choices}
        return {name: lists[name].get(value, value) if name in lists else value for name, value in values.items()}

    def ends(self, name: str) -> list[Any]:
        """The levels by which a dimension is checked: all choices, or the ends of a range and a number between."""
        dimension = self.dimensions[name]
        if dimension.choices is not None:
            return list(dimension.choices)
        low, high = _bounds(dimension)
        if _is_whole(dimension):
            return [int(low), int(high)]
        return [low, high] if dimension.step is not None else [low, high, low + (high - low) / math.pi]

    def every(self) -> list[Values]:
        """All combinations of a space that has so many. Raises UserError where a dimension is a range without steps."""
        axes = {name: _steps(name, dimension) for name, dimension in self.dimensions.items()}
        if (number := math.prod(map(len, axes.values()))) > MOST_COMBINATIONS:
            raise UserError(f"sampler grid: {number:,} combinations, at most {MOST_COMBINATIONS:,}")
        return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def space_of(card: SweepCard, method: str, method_card: MethodCard, benchmark: str, backbone: str) -> Space:
    """What is searched for a method on a benchmark: its dimensions, or those of them that the sweep card names.

    Raises UserError where there are none.
    """
    dimensions = dimensions_of(card, method, method_card, benchmark, backbone)
    if not dimensions:
        raise UserError(f"{method} has no search space: give its card a [search_space], or the sweep [search.space]")
    only = card.search.only if card.search is not None else ()
    kept = {name: dimension for name, dimension in dimensions.items() if name in only or not only}
    if not kept:
        raise UserError(f"only = {', '.join(only)}: no dimension of {method}, which has {', '.join(dimensions)}")
    return Space(kept)


def dimensions_of(
    card: SweepCard, method: str, method_card: MethodCard, benchmark: str, backbone: str
) -> dict[str, SearchDimension]:
    """All dimensions of a method on a benchmark.

    The sweep card's come before the method card's, and of these those for the benchmark before those for the backbone.
    """
    of_card = method_card.search_space_for
    own = {**method_card.search_space, **of_card.get(backbone, {}), **of_card.get(benchmark, {})}
    return {**own, **card.space_of(method)}


def show_dimension(dimension: SearchDimension) -> str:
    """A dimension as a reader writes it."""
    if dimension.choices is not None:
        return ", ".join(choice if isinstance(choice, str) else json.dumps(choice) for choice in dimension.choices)
    how = f" in steps of {dimension.step:g}" if dimension.step else ""
    how += " (log)" if dimension.log else ""
    return f"{dimension.low:g} to {dimension.high:g}{how}"


def _distribution(dimension: SearchDimension) -> BaseDistribution:
    if dimension.choices is not None:
        return CategoricalDistribution([_kept(choice) for choice in dimension.choices])
    low, high = _bounds(dimension)
    if _is_whole(dimension):
        return IntDistribution(int(low), int(high), log=dimension.log, step=int(dimension.step or 1))
    return FloatDistribution(low, high, log=dimension.log, step=dimension.step)


def _steps(name: str, dimension: SearchDimension) -> list[Any]:
    if dimension.choices is not None:
        return [_kept(choice) for choice in dimension.choices]
    if dimension.step is None:
        raise UserError(
            f"sampler grid: {name} is a range ({show_dimension(dimension)}): give it choices or a step in "
            "[search.space], or name the other dimensions in only"
        )
    low, high = _bounds(dimension)
    number = round((high - low) / dimension.step) + 1
    if number > MOST_COMBINATIONS:
        raise UserError(f"sampler grid: {name} has {number:,} steps: at most {MOST_COMBINATIONS:,}")
    numbers = [min(high, round(low + at * dimension.step, 12)) for at in range(number)]
    return [int(number) for number in numbers] if _is_whole(dimension) else numbers


def _bounds(dimension: SearchDimension) -> tuple[float, float]:
    assert dimension.low is not None
    assert dimension.high is not None
    return dimension.low, dimension.high


def _is_whole(dimension: SearchDimension) -> bool:
    return dimension.step is not None and all(float(n).is_integer() for n in (*_bounds(dimension), dimension.step))


def _kept(choice: Any) -> str | int | float | bool:
    """A choice as Optuna can keep it."""
    return json.dumps(choice) if isinstance(choice, list | tuple) else choice
