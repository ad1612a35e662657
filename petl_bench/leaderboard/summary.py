"""The table after a run: one row per method, from records alone."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from petl_bench.records import RunRecord
from petl_bench.switches import profile_of

RunRow = tuple[str, str]
"""The row a run belongs to, and its run key."""


def records_frame(records: Sequence[RunRecord]) -> pd.DataFrame:
    """One line per record: keys, fold, seed, metrics (fractions), parameters by role, seconds."""
    return pd.DataFrame(
        {
            "run_key": record.run_info.run_key,
            "config_key": record.run_info.config_key,
            "benchmark": record.meta_info.dataset_info["name"],
            "backbone": record.meta_info.model_info["name"],
            "implementation": record.spec.method.implementation,
            "fold": record.spec.fold,
            "seed": record.spec.seed,
            "limit": record.meta_info.dataset_info["limit"],
            **{f"test_{name}": value for name, value in record.train_info.metrics["test"].items()},
            **{f"validation_{name}": value for name, value in record.train_info.metrics["validation"].items()},
            **record.train_info.parameters,
            "redundant": record.train_info.redundant_parameters,
            "profile": profile_of(record.spec.switches),
            "adapted_parameters": record.train_info.adapted_parameters,
            "share": record.train_info.adapted_parameters / record.train_info.num_total_params,
            "published_count": record.train_info.published_count,
            "seconds": record.run_info.total_time,
        }
        for record in records
    )


def summary(records: Sequence[RunRecord], rows: Sequence[RunRow], metric: str = "accuracy") -> pd.DataFrame:
    """One line per row name, in the order given, whatever its runs have come to.

    score: mean over folds of the test metric, seeds averaged within a fold first. fold_sd: standard deviation of
    these fold means, ddof 1, NaN with one fold. runs: runs there are; expected: runs there should be. seconds: median
    per run. ``rows`` says which run keys belong to which row.
    """
    frame = records_frame(records).set_index("run_key") if records else pd.DataFrame()
    keys: dict[str, list[str]] = {}
    for name, key in rows:
        keys.setdefault(name, []).append(key)
    return pd.DataFrame([_row(name, frame.loc[frame.index.intersection(its)], len(its), metric)
                         for name, its in keys.items()])  # fmt: skip


def _row(name: str, runs: pd.DataFrame, expected: int, metric: str) -> dict[str, object]:
    row: dict[str, object] = {"method": name, "runs": len(runs), "expected": expected}
    if runs.empty:
        return row
    folds = runs.groupby("fold")[f"test_{metric}"].mean()
    first = runs.iloc[0]
    counts = {role: int(first[role]) for role in ("adapter", "bias", "norm", "head", "backbone")}
    return row | {
        "score": folds.mean(),
        "fold_sd": folds.std(ddof=1),
        "folds": len(folds),
        "adapted_parameters": int(first["adapted_parameters"]),
        "share": first["share"],
        **counts,
        "redundant": first["redundant"],
        "published_count": int(first["published_count"]),
        "seconds": runs["seconds"].median(),
    }
