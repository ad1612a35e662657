"""The command that repeats a configuration: flags for all that its runs have otherwise than the cards of now."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from petl_bench.canonical import flat
from petl_bench.cards import BenchmarkCard, MethodCard, Optimizer
from petl_bench.leaderboard.benchmark import benchmark_card
from petl_bench.leaderboard.names import Name, as_text, said_by
from petl_bench.leaderboard.pages import ranges
from petl_bench.leaderboard.tables import Row, Table
from petl_bench.records import RunRecord
from petl_bench.settings import parse_value
from petl_bench.switches import Switches, profile_of

OF_BENCHMARK = ("protocol", "features", "augment")


def command_of(row: Row, table: Table, cards: Mapping[str, MethodCard]) -> str:
    """A ``petl-bench run`` of a row's method, folds and seeds under the conditions of its table.

    ``cards`` are the method cards of now. Where data sets and checkpoint folders lie is in no record: the command
    looks for clips where ``run`` does by itself, and calls a backbone as the record does.
    """
    record = table.first.record
    method = _card_name(row, cards)
    benchmark = benchmark_card(table.benchmark) or BenchmarkCard(layout="", title="")
    parts = ["petl-bench", "run", "--methods", method, "--dataset", table.benchmark]
    if table.backbone != benchmark.backbone:
        parts += ["--backbone", table.backbone]
    parts += ["--seeds", ranges(sorted({run.record.spec.seed for run in row.runs})).replace(" ", "")]
    folds = sorted({run.record.spec.fold for run in row.runs})
    if folds != list(table.folds):
        parts += ["--folds", ranges(folds).replace(" ", "")]
    parts += _recipe(record, benchmark)
    if (limit := record.meta_info.dataset_info["limit"]) is not None:
        parts += ["--limit", str(limit)]
    parts += _switches(record.spec.switches)
    parts += _settings(_of_benchmark(record, benchmark), table.benchmark)
    parts += _settings(_of_method(row.runs[0].record, cards.get(method)), method)
    return shlex.join(parts)


def missing_cards(row: Row, table: Table, cards: Mapping[str, MethodCard]) -> list[str]:
    """Names in the command of which there is no card here, so that it needs their paths."""
    absent = [] if _card_name(row, cards) in cards else [_card_name(row, cards)]
    return absent if benchmark_card(table.benchmark) else [*absent, table.benchmark]


def _card_name(row: Row, cards: Mapping[str, MethodCard]) -> str:
    """The card that the row is called after or was run with, or that of its implementation where it is here no more."""
    name: Name = row.name
    record = row.runs[0].record
    implementation = record.spec.method.implementation
    ran_as = str(record.meta_info.method_info.get("name", implementation)) if name.variant else name.text
    return implementation if ran_as not in cards and implementation in cards else ran_as


def _recipe(record: RunRecord, card: BenchmarkCard) -> Iterator[str]:
    training = record.spec.training
    if training.epochs != card.training.epochs:
        yield from ("--epochs", str(training.epochs))
    if training.batch_size != card.training.batch_size:
        yield from ("--batch-size", str(training.batch_size))
    if training.precision != "fp32":
        yield from ("--precision", training.precision)


def _switches(switches: Switches) -> Iterator[str]:
    profile = profile_of(switches)
    if profile == "published":
        yield from ("--profile", profile)
    if profile == "custom":
        for name, value in _unlike(switches, Switches()).items():
            yield from ("--switch", f"{name}={_toml(value)}")


def _of_benchmark(record: RunRecord, card: BenchmarkCard) -> dict[str, Any]:
    spec = record.spec
    found: dict[str, Any] = {} if spec.data.metric == card.metric else {"metric": spec.data.metric}
    for part in OF_BENCHMARK:
        unlike = _unlike(getattr(spec.data, part), getattr(card, part))
        found |= {f"{part}.{key}": value for key, value in unlike.items()}
    if spec.training.micro_batch_size != card.training.micro_batch_size:
        found["training.micro_batch_size"] = spec.training.micro_batch_size
    return found


def _of_method(record: RunRecord, card: MethodCard | None) -> dict[str, Any]:
    """What the runs had otherwise than their card says now, of the optimizer too."""
    resolved = flat(record.spec.method.hyperparameters)
    given = record.meta_info.method_info.get("settings", {})
    said, usual = said_by(card, record) if card else ({}, Optimizer())
    found = {
        key: resolved[key]
        for key in dict.fromkeys([*given, *said])
        if key in resolved and (key not in said or as_text(said[key]) != as_text(resolved[key]))
    }
    return {**found, **_unlike(record.spec.training.optimizer, usual)}


def _unlike(values: BaseModel, usual: BaseModel) -> dict[str, Any]:
    """Fields of a model that another does not have so."""
    theirs = usual.model_dump(mode="json")
    return {key: value for key, value in values.model_dump(mode="json").items() if value != theirs[key]}


def _settings(values: Mapping[str, Any], name: str) -> Iterator[str]:
    for key, value in values.items():
        yield from ("--set", f"{name}.{key}={_toml(value)}")


def _toml(value: Any) -> str:
    """A value as ``--set`` reads it."""
    if isinstance(value, str):
        return value if parse_value(value) == value else json.dumps(value)
    return json.dumps(value)
