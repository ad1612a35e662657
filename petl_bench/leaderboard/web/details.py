"""What the page shows of a configuration once it is opened: folds, seeds, curves, settings, the command."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from petl_bench.canonical import canonical, flat
from petl_bench.errors import UserError
from petl_bench.index import IndexedRun
from petl_bench.leaderboard.command import command_of, missing_cards
from petl_bench.leaderboard.folds import read_epochs
from petl_bench.leaderboard.names import Namer, as_text
from petl_bench.leaderboard.report import Data
from petl_bench.leaderboard.tables import Row, Table
from petl_bench.profiling.wording import cost_list

MOST_EPOCHS = 60
"""Points of a curve; of more epochs as many are shown, evenly spaced, the last among them."""


def details_of(tables: Sequence[Table], folders: Mapping[str, Path], keys: Collection[str]) -> dict[str, Data]:
    """The details of the rows that ``keys`` name, by configuration key; ``folders`` of runs by run key."""
    cards = Namer().cards
    return {
        row.runs[0].record.run_info.config_key: {
            "command": command_of(row, table, cards),
            "missing_cards": missing_cards(row, table, cards),
            **_scores(row, table),
            "curves": _curves(row.runs, folders),
            **_settings(row),
            **_made(row),
            "cost": cost_list(row.profile.model_dump(mode="json")) if row.profile else None,
        }
        for table in tables
        for row in table.rows
        if row.runs[0].record.run_info.config_key in keys
    }


def _scores(row: Row, table: Table) -> Data:
    """Test scores in percent, ``[folds][seeds]``, null where there is no run; and the runs' keys likewise."""
    runs = {(run.record.spec.fold, run.record.spec.seed): run.record for run in row.runs}
    seeds = sorted({seed for _, seed in runs})
    metric = table.spec.data.metric

    def grid(of: Any) -> list[list[Any]]:
        return [[of(runs[fold, seed]) if (fold, seed) in runs else None for seed in seeds] for fold in table.folds]

    return {
        "folds": list(table.folds),
        "seeds": seeds,
        "scores": grid(lambda record: round(100 * record.train_info.metrics["test"][metric], 2)),
        "keys": grid(lambda record: record.run_info.run_key),
        "tested_epochs": grid(lambda record: record.train_info.tested_epoch),
    }


def _curves(runs: Sequence[IndexedRun], folders: Mapping[str, Path]) -> Data | None:
    """Mean, lowest and highest of training loss and validation accuracy (percent) over runs, by epoch; or None."""
    try:
        logs = [read_epochs(folders[run.record.run_info.run_key]) for run in runs]
    except (UserError, KeyError):
        return None  # epochs that are damaged or gone take no row off the page
    length = min(len(log) for log in logs)
    shown = sorted({round(at) for at in np.linspace(0, length - 1, min(length, MOST_EPOCHS))})

    def curve(name: str, scale: float) -> list[list[float | None]]:
        values = np.array([[scale * float(log[at][name]) for log in logs] for at in shown])
        return [[_short(value) for value in side] for side in (values.mean(1), values.min(1), values.max(1))]

    return {
        "epochs": [logs[0][at]["epoch"] for at in shown],
        "loss": curve("train_loss", 1),
        "accuracy": curve("validation_accuracy", 100),
    }


def _short(value: float) -> float | None:
    """Four digits, which is more than a curve shows; None where a loss is not finite."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _settings(row: Row) -> Data:
    spec = row.runs[0].record.spec
    given = row.runs[0].record.meta_info.method_info.get("settings", {})
    return {
        "settings": {key: [as_text(value), key in given] for key, value in flat(spec.method.hyperparameters).items()},
        "optimizer": {key: as_text(value) for key, value in canonical(spec.training.optimizer).items()},
        "code": f"{spec.method.implementation} {spec.method.source}".strip(),
    }


def _made(row: Row) -> Data:
    """When and with what the runs were made, each that occurs."""
    records = [run.record for run in row.runs]
    dates = sorted(record.run_info.created_at[:10] for record in records)
    packages = [", ".join(f"{name} {its}" for name, its in r.meta_info.package_info.items()) for r in records]
    devices = [str(record.meta_info.system_info.get("device", "")) for record in records]
    memory = [record.train_info.peak_memory for record in records if record.train_info.peak_memory]
    return {
        "made": " to ".join(dict.fromkeys([dates[0], dates[-1]])),
        "packages": list(dict.fromkeys(packages)),
        "devices": [device for device in dict.fromkeys(devices) if device],
        "clips_per_second": round(float(np.median([record.train_info.clips_per_second for record in records])), 1),
        "peak_memory_mb": round(max(memory) / 2**20) if memory else None,
    }
