"""From a sweep card to its combinations, and from each of them to a request for runs. Free of torch.

A factor is the dotted name of a value: of the recipe (``batch_size``, ``epochs``, ``micro_batch_size``, ``lr``,
``precision``, ``profile``, ``backbone``), of the protocol (``shots``, ``validation``), of a table of the benchmark card
(``features.frames``), a switch (``switches.init``), a rule (``budget``, ``lr_rule``), or else a setting of the method.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

from petl_bench.canonical import flat
from petl_bench.card_files import check, find_card
from petl_bench.errors import UserError
from petl_bench.lookup import find_method
from petl_bench.plan import Choice, Request, choose, given_settings
from petl_bench.runspec import Precision
from petl_bench.settings import resolve_settings
from petl_bench.sweeps.card import Levels, SweepCard
from petl_bench.switches import PROFILES

TRAINING = ("batch_size", "epochs", "micro_batch_size")
PROTOCOL = ("shots", "validation")
OF_BENCHMARK = ("training.", "protocol.", "features.", "augment.")
MOST_COMBINATIONS = 10_000
RULES = {"budget": ("epochs", "steps"), "lr_rule": ("fixed", "sqrt")}
"""budget = steps: as many optimizer steps as with the card's batch size. lr_rule = sqrt: lr * sqrt(batch / card's)."""


@dataclass(frozen=True)
class Options:
    """What the command line says of a study; None: as the card has it."""

    benchmarks: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    backbone: str | None = None
    data_dir: Path | None = None
    seeds: tuple[int, ...] | None = None
    folds: tuple[int, ...] | None = None
    epochs: int | None = None
    precision: Precision | None = None
    limit: int | None = None
    trials: int | None = None
    allow_pickle: bool | None = None


@dataclass(frozen=True)
class Point:
    """One combination: its levels by factor, ``benchmark``, ``method`` and ``arm`` among them, and its request."""

    levels: Levels
    request: Request
    choice: Choice

    @property
    def label(self) -> str:
        """What tells the combination from others of its method and benchmark."""
        own = {name: level for name, level in self.levels.items() if name not in ("benchmark", "method")}
        return ", ".join(level if name == "arm" else f"{name} = {show(level)}" for name, level in own.items())


def points(card: SweepCard, options: Options) -> list[Point]:
    """Every combination of a study, its names and settings looked up and checked.

    Raises UserError where one of them is wrong; nothing but cards and code is read.
    """
    if card.grid is None:
        raise UserError("this card is a search, not a grid")
    chosen = []
    for benchmark, method in product(options.benchmarks or card.benchmarks, options.methods or card.methods):
        for levels in _combinations(card, {"benchmark": benchmark, "method": method}):
            request, choice = request_of(card, options, levels)
            names = {"benchmark": choice.benchmark, "method": choice.methods[0].name}
            chosen.append(Point({**levels, **names}, request, choice))
    if not chosen:
        raise UserError("no combination is left")
    return chosen


def quick(card: SweepCard, options: Options) -> tuple[SweepCard, Options]:
    """The small version of a study; what the command line says comes before it."""
    small = card.quick
    if card.search is not None:
        return card, _small_options(card, options, {"trials": small.trials, "seeds": small.seeds or card.seeds[:1]})
    grid = {**card.factors, **{name: own for name in card.methods if (own := card.factors_of(name))}}
    for name, levels in small.grid.items():
        if name in card.methods:
            grid[name] = {**grid.get(name, {}), **flat(levels)}
        else:
            grid |= flat({name: levels})
    arms = {name: levels for name, levels in card.arms.items() if small.arms is None or name in small.arms}
    points = tuple(point for point in card.point if "arm" not in point or point["arm"] in arms)
    changes = {"grid": grid, "arms": arms, "point": points, "seeds": small.seeds or card.seeds[:1]}
    shrunk = check(SweepCard, {**card.model_dump(exclude={"quick"}, exclude_unset=True), **changes}, "[quick]")
    return shrunk, _small_options(card, options, {})


def _small_options(card: SweepCard, options: Options, own: Mapping[str, Any]) -> Options:
    """What the quick version says, and the command line before it."""
    small = card.quick
    given = {name: value for name, value in vars(options).items() if value is not None}
    of_card = {name: getattr(small, name) for name in ("benchmarks", "methods", "backbone", "folds", "epochs", "limit")}
    if options.benchmarks is not None and options.folds is None and small.folds:
        folds = [choose(Request((), name)).card.protocol.folds for name in options.benchmarks]
        of_card["folds"] = tuple(fold for fold in small.folds if fold <= min(folds)) or (1,)
    return replace(options, **{**of_card, **own, **given})


def show(level: Any) -> str:
    """A level as a reader writes it."""
    if isinstance(level, str):
        return level
    return json.dumps(level)


def brief(level: Any) -> str:
    """The same with three digits of a fraction."""
    return f"{level:.3g}" if isinstance(level, float) else show(level)


def _combinations(card: SweepCard, names: Levels) -> list[Levels]:
    """All levels of one method on one benchmark: the grid times the arms, and the single points."""
    factors = {**card.factors, **card.factors_of(names["method"])}
    arms: Sequence[Levels] = [{"arm": name} for name in card.arms] or [{}]
    if (number := len(arms) * math.prod(map(len, factors.values()))) > MOST_COMBINATIONS:
        raise UserError(f"{number:,} combinations of one method on one benchmark: at most {MOST_COMBINATIONS:,}")
    grid = [
        {**names, **arm, **dict(zip(factors, levels, strict=True))}
        for arm in arms
        for levels in product(*factors.values())
    ]
    single = [{**names, **point} for point in map(flat, card.point) if _matches({**point, **names}, point)]
    kept = [levels for levels in grid if not any(_matches(levels, flat(pattern)) for pattern in card.exclude)]
    return [*kept, *(levels for levels in single if levels not in kept)]


def _matches(levels: Levels, pattern: Mapping[str, Any]) -> bool:
    """Whether a combination has every level that a pattern names; a list in a pattern stands for each of its values."""
    return all(
        name in levels and (levels[name] == wanted or (isinstance(wanted, list) and levels[name] in wanted))
        for name, wanted in pattern.items()
    )


def request_of(card: SweepCard, options: Options, levels: Levels) -> tuple[Request, Choice]:
    """The runs of a combination, as if asked for by flags."""
    settings = dict(levels)
    benchmark, method = settings.pop("benchmark"), settings.pop("method")
    if (arm := settings.pop("arm", None)) is not None:
        settings = {**flat(card.arms[arm]), **settings}
    rules = {name: _one_of(name, settings.pop(name), RULES[name]) for name in RULES if name in settings}
    request = Request(
        methods=(method,),
        dataset=benchmark,
        backbone=settings.pop("backbone", options.backbone or card.backbone),
        data_dir=options.data_dir,
        seeds=options.seeds or card.seeds,
        folds=options.folds,
        epochs=options.epochs,
        profile=_one_of("profile", settings.pop("profile", card.profile), PROFILES),
        precision=_one_of("precision", settings.pop("precision", options.precision or "fp32"), get_args(Precision)),
        limit=options.limit,
        allow_pickle=bool(options.allow_pickle),
    )
    names = (find_card("benchmarks", benchmark).name, find_method(method).name)
    switches = [name for name in settings if name.startswith("switches.")]
    request = replace(
        request,
        switches=tuple(f"{name.removeprefix('switches.')}={show(settings.pop(name))}" for name in switches),
        settings=tuple(_assignment(*names, name, level) for name, level in settings.items()),
    )
    # A recipe that only a level gives wins over --epochs, which scales the study as a whole.
    request = replace(request, epochs=None if "epochs" in settings else request.epochs)
    choice = choose(request)
    if any(value != RULES[name][0] for name, value in rules.items()):
        request = _ruled(request, choice, rules)
        choice = choose(request)
    return request, choice


def _one_of(name: str, value: Any, allowed: Iterable[str]) -> Any:
    if value not in allowed:
        raise UserError(f"{name} = {show(value)}: one of {', '.join(allowed)}")
    return value


def _ruled(request: Request, choice: Choice, rules: Mapping[str, str]) -> Request:
    """The request with epochs and learning rate as the rules make them of its batch size and the benchmark card's."""
    usual = choose(Request((), request.dataset)).card.training.batch_size
    ratio = choice.card.training.batch_size / usual
    if rules.get("budget") == "steps":
        request = replace(request, epochs=max(1, round(choice.card.training.epochs * ratio)))
    if rules.get("lr_rule") == "sqrt":
        method = choice.methods[0]
        given = given_settings(request, method)
        lr = resolve_settings(method, choice.benchmark, choice.card.backbone, given)[1].lr
        request = replace(request, lr=lr * math.sqrt(ratio))
    return request


def _assignment(benchmark: str, method: str, name: str, level: Any) -> str:
    """A level as ``--set`` would say it."""
    if name in TRAINING:
        target = f"{benchmark}.training.{name}"
    elif name in PROTOCOL:
        target = f"{benchmark}.protocol.{name}"
    else:
        target = f"{benchmark if name.startswith(OF_BENCHMARK) else method}.{name}"
    return f"{target}={json.dumps(level)}"
