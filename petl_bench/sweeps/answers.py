"""What a study's runs say: differences to a baseline, a trend, an interaction, each with its test.

A cell is a combination of levels with its scores. Comparisons hold every factor equal but those of the baseline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petl_bench.canonical import flat
from petl_bench.index import IndexedRun
from petl_bench.leaderboard.tables import scores_of
from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.comparisons import Verdict, verdict
from petl_bench.stats.engine import contrast
from petl_bench.stats.equivalence import MarginTest, against_margin
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.multiplicity import holm
from petl_bench.stats.scores import Scores
from petl_bench.stats.trend import linear_trend, turning_point
from petl_bench.sweeps.card import Levels, SweepCard
from petl_bench.sweeps.grid import show
from petl_bench.sweeps.study import Bench

SAME = NotAvailable("identical: the same predictions, clip by clip")


@dataclass(frozen=True)
class Cell:
    """A combination that has runs. ``due`` is how many runs it should have."""

    levels: Levels
    scores: Scores
    runs: tuple[IndexedRun, ...]
    due: int


@dataclass(frozen=True)
class Difference:
    """A cell less its baseline cell; ``where`` says what both have in common. In fractions."""

    cell: Cell
    baseline: Cell
    where: str
    estimate: Estimate
    holm_p: Quantity
    verdict: Verdict | NotAvailable

    @property
    def identical(self) -> bool:
        """Whether every prediction is the same: then there is no test, and the pair is no part of a family."""
        return _identical(self.estimate)

    @property
    def finding(self) -> str:
        """The verdict, ``identical`` or ``no test``."""
        if isinstance(self.verdict, NotAvailable):
            return "identical" if self.identical else "no test"
        return str(self.verdict)


@dataclass(frozen=True)
class Trend:
    """The slope of the score along an ordered factor, per ``unit``, and whether it turns in between."""

    benchmark: str
    where: str
    factor: str
    unit: str
    slope: Estimate
    holm_p: Quantity
    optimum_p: Quantity
    """Holm's p that some level between the outer ones is above both."""
    dip_p: Quantity
    """The same, below both."""


@dataclass(frozen=True)
class Interaction:
    """How much more a level differs from the baseline on one level of a factor than on another."""

    cell: Cell
    baseline: Cell
    factor: str
    first: Any
    second: Any
    where: str
    estimate: Estimate
    holm_p: Quantity


@dataclass(frozen=True)
class Answer:
    """All that was computed; ``lacking`` are lines about combinations that have no place in it."""

    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...]
    trends: tuple[Trend, ...]
    interactions: tuple[Interaction, ...]
    lacking: tuple[str, ...]


def cells_of(bench: Bench, indexed: Mapping[str, IndexedRun]) -> tuple[list[Cell], list[str]]:
    """The combinations of a bench that have runs, and a line for each that has none."""
    cells, lacking = [], []
    for point, planned in zip(bench.points, bench.plans, strict=False):  # no plans where data is not here
        runs = tuple(indexed[run.key] for run in planned if run.key in indexed)
        if not runs:
            lacking.append(f"no runs: {_text(point.levels)}")
            continue
        folds = sorted({run.spec.fold for run in planned})
        label = f" ({point.label})" if point.label else ""
        name = f"{point.levels['method']}{label} on {point.levels['benchmark']}"
        cells.append(Cell(point.levels, scores_of(name, runs, folds), runs, len(planned)))
    return cells, lacking


def answer(card: SweepCard, cells: Sequence[Cell], lacking: Sequence[str] = ()) -> Answer:
    """Everything that a card asks of its cells; p-values are adjusted over all of a kind on one benchmark."""
    differences, trends, interactions, lines = [], [], [], list(lacking)
    for benchmark in dict.fromkeys(cell.levels["benchmark"] for cell in cells):
        its = [cell for cell in cells if cell.levels["benchmark"] == benchmark]
        found, without = _differences(card, its)
        differences += found
        lines += without
        trends += _trends(card, its)
        interactions += _interactions(card, its)
    return Answer(tuple(cells), tuple(differences), tuple(trends), tuple(interactions), tuple(lines))


def varying(cells: Sequence[Cell]) -> list[str]:
    """The factors in which cells differ, in the order of the card."""
    names = dict.fromkeys(name for cell in cells for name in cell.levels)
    return [name for name in names if len({show(cell.levels.get(name)) for cell in cells}) > 1]


def _differences(card: SweepCard, cells: Sequence[Cell]) -> tuple[list[Difference], list[str]]:
    """Every cell less the baseline of its stratum."""
    lines, pairs = [], []
    for where, stratum in _strata(card, cells, tuple(flat(card.question.baseline))).items():
        baseline = _baseline(card, stratum)
        if baseline is None:
            lines += [f"no baseline to compare with{f' ({where})' if where else ''}"] if card.question.baseline else []
            continue
        for cell in stratum:
            if cell is not baseline:
                difference = contrast([cell.scores, baseline.scores], [1, -1])
                if isinstance(difference, NotAvailable):
                    lines.append(difference.reason)
                else:
                    pairs.append((where, cell, baseline, difference))
    adjusted = holm([SAME if _identical(difference) else difference.p_value for *_, difference in pairs])
    tests: Sequence[MarginTest | None] = [None] * len(pairs)
    if card.question.margin and pairs:
        tests = against_margin([difference for *_, difference in pairs], card.question.margin / 100)
    return [
        Difference(cell, baseline, where, difference, p, p if p is SAME else verdict(difference, p, test))
        for (where, cell, baseline, difference), p, test in zip(pairs, adjusted, tests, strict=True)
    ], list(dict.fromkeys(lines))


def _identical(difference: Estimate) -> bool:
    return difference.standard_error == 0.0 and difference.value == 0.0


def _trends(card: SweepCard, cells: Sequence[Cell]) -> list[Trend]:
    """A slope per stratum along the ordered factor; over doublings where all levels are above 0."""
    factor = card.question.ordered
    if not factor:
        return []
    found = []
    for where, stratum in _strata(card, cells, (factor,)).items():
        its = [cell for cell in stratum if _plain(card, cell) and isinstance(cell.levels.get(factor), int | float)]
        its.sort(key=lambda cell: float(cell.levels[factor]))
        values = [float(cell.levels[factor]) for cell in its]
        if len(set(values)) < 3:
            continue
        doublings = min(values) > 0
        scores = [cell.scores for cell in its]
        slope = linear_trend(scores, [math.log2(value) for value in values] if doublings else values)
        if not isinstance(slope, NotAvailable):
            unit = f"doubling of {factor}" if doublings else f"unit of {factor}"
            found.append((where, unit, slope, turning_point(scores, 1), turning_point(scores, -1)))
    slopes = holm([slope.p_value for _, _, slope, _, _ in found])
    turns = holm([turn for *_, optimum, dip in found for turn in (optimum, dip)])
    return [
        Trend(cells[0].levels["benchmark"], where, factor, unit, slope, p, optimum_p, dip_p)
        for (where, unit, slope, _, _), p, optimum_p, dip_p in zip(found, slopes, turns[::2], turns[1::2], strict=True)
    ]


def _interactions(card: SweepCard, cells: Sequence[Cell]) -> list[Interaction]:
    """(level - baseline) on the first level of the question's factor, less the same on each other level."""
    factor, changed = card.question.interaction, tuple(flat(card.question.baseline))
    if not factor or not changed:
        return []
    found: list[tuple[str, Cell, Cell, Any, Any, Estimate]] = []
    for where, group in _strata(card, cells, (*changed, factor)).items():
        by_level: dict[str, list[Cell]] = {}
        for cell in group:
            if _plain(card, cell):
                by_level.setdefault(show(cell.levels[factor]), []).append(cell)
        (_, first), *others = by_level.items() or [("", [])]
        base = _baseline(card, first)
        for _, second in others:
            other_base = _baseline(card, second)
            if base is None or other_base is None:
                continue
            for cell in first:
                alike = [c for c in second if all(c.levels[name] == cell.levels[name] for name in changed)]
                if cell is base or not alike:
                    continue
                four = [cell.scores, base.scores, alike[0].scores, other_base.scores]
                estimate = contrast(four, [1, -1, -1, 1])
                if not isinstance(estimate, NotAvailable):
                    found.append((where, cell, base, cell.levels[factor], alike[0].levels[factor], estimate))
    adjusted = holm([estimate.p_value for *_, estimate in found])
    return [
        Interaction(cell, base, factor, first, second, where, estimate, p)
        for (where, cell, base, first, second, estimate), p in zip(found, adjusted, strict=True)
    ]


def _strata(card: SweepCard, cells: Sequence[Cell], free: tuple[str, ...]) -> dict[str, list[Cell]]:
    """Cells that are equal in all factors of the grid but ``free``, under what they have in common, in words."""
    if "method" in free:
        free = (*free, *card.own_factors)
    changing = [name for name in varying(cells) if name not in free and name in _grid_factors(card)]
    if card.arms and "arm" not in (*free, *changing):
        changing.insert(0, "arm")  # what a sentence is about, also where there is but one
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        common = {name: cell.levels[name] for name in changing if name in cell.levels}
        groups.setdefault(_text(common), []).append(cell)
    return groups


def _grid_factors(card: SweepCard) -> set[str]:
    """The factors that the grid itself varies, without those that single points add."""
    return {"benchmark", "method", "arm", *card.every_factor}


def _plain(card: SweepCard, cell: Cell) -> bool:
    """Whether a cell is of the grid, with nothing that a single point adds."""
    return cell.levels.keys() <= _grid_factors(card)


def _baseline(card: SweepCard, cells: Sequence[Cell]) -> Cell | None:
    wanted = flat(card.question.baseline)
    fits = [
        cell
        for cell in cells
        if wanted and _plain(card, cell) and all(cell.levels.get(name) == level for name, level in wanted.items())
    ]
    return fits[0] if fits else None


def _text(levels: Levels) -> str:
    return ", ".join(f"{name} = {show(level)}" for name, level in levels.items())
