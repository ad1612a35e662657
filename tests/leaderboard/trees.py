"""Results trees with known numbers: one real record, copied with other methods, folds, seeds and predictions."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petl_bench.records import FinishedRun, read_predictions, read_record
from petl_bench.results import ResultsTree

RATES = {"linear": 1e-3, "full": 5e-4, "lora": 5e-3}
"""Learning rates of the built-in cards, so that runs are called after them."""

GOLDEN = Path(__file__).parent / "golden"


@cache
def template() -> FinishedRun:
    """A run of the linear probe from the golden tree."""
    folder = next((GOLDEN / "results").glob("*/*/linear/*/run.json"))
    return FinishedRun(read_record(folder.parent), [], read_predictions(folder.parent))


def run_of(
    right: npt.NDArray[np.bool_],
    *,
    name: str = "linear",
    fold: int = 1,
    seed: int = 0,
    benchmark: str = "synthetic",
    overrides: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    predicted_wrong: int = 1,
) -> FinishedRun:
    """A run whose test clips are right where ``right``; its clips and sources depend on benchmark and fold alone."""
    made, count = template(), len(right)
    record = made.record
    targets = np.arange(count) % 2
    logits = np.zeros((count, 3), dtype=np.float32)
    logits[np.arange(count), np.where(right, targets, (targets + predicted_wrong) % 3)] = 1
    ids = np.array([f"{benchmark}-{fold}-{at}" for at in range(count)])
    sources = np.array([f"{benchmark}-source-{fold}-{at // 2}" for at in range(count)])
    method = record.spec.method.model_copy(
        update={
            "implementation": name,
            "hyperparameters": {**record.spec.method.hyperparameters, **(overrides or {})},
            "unkeyed": tuple(key for key in record.spec.method.unkeyed if key not in (overrides or {})),
        }
    )
    data = record.spec.data.model_copy(update={"fingerprint": f"{sum(map(ord, benchmark)):016x}"})
    optimizer = record.spec.training.optimizer.model_copy(update={"lr": RATES.get(name, 1e-3)})
    training = record.spec.training.model_copy(update={"optimizer": optimizer})
    new_spec = record.spec.model_copy(
        update={"method": method, "data": data, "training": training, "fold": fold, "seed": seed, **(spec or {})}
    )
    info, meta = record.run_info, record.meta_info
    changed = record.model_copy(
        update={
            "spec": new_spec,
            "run_info": info.model_copy(update={"run_key": new_spec.run_key(), "config_key": new_spec.config_key()}),
            "meta_info": meta.model_copy(
                update={
                    "method_info": {"name": name, "settings": overrides or {}, "overrides": overrides or {}},
                    "dataset_info": {**meta.dataset_info, "name": benchmark},
                }
            ),
        }
    )
    predictions = replace(made.predictions, test_ids=ids, test_groups=sources, test_targets=targets, test_logits=logits)
    return FinishedRun(
        changed,
        [
            {"epoch": 1, "train_loss": 1.0, "validation_accuracy": 0.5},
            {"epoch": 2, "train_loss": 0.5, "validation_accuracy": 0.4},
        ],
        predictions,
    )


def plant(root: Path, *runs: FinishedRun) -> ResultsTree:
    """A tree that holds the runs."""
    tree = ResultsTree(root)
    tree.prepare()
    for run in runs:
        assert tree.write(run)
    return tree


def study_of(accuracies: dict[str, float], seeds: int = 3, clips: int = 40, **options: Any) -> list[FinishedRun]:
    """Five folds and some seeds of methods with about these accuracies, clips of one difficulty for all methods."""
    runs = []
    for fold in range(1, 6):
        difficulty = np.random.default_rng(fold).random(clips)
        for name, accuracy in accuracies.items():
            for seed in range(seeds):
                noise = np.random.default_rng([fold, seed, sum(map(ord, name))]).normal(scale=0.05, size=clips)
                runs.append(run_of(difficulty + noise < accuracy, name=name, fold=fold, seed=seed, **options))
    return runs
