"""Configurations of one table against each other, and their differences over several data sets, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from petl_bench.leaderboard.report import Data
from petl_bench.leaderboard.tables import Table
from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.comparisons import Comparison, compare
from petl_bench.stats.datasets import mean_over_datasets, new_dataset_test, wins_ties_losses
from petl_bench.stats.equivalence import probability_within
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.multiplicity import holm
from petl_bench.stats.planning import detectable_now, seed_plan
from petl_bench.stats.ranks import mean_ranks
from petl_bench.stats.scores import Scores
from petl_bench.stats.trained_models import sign_flip
from petl_bench.stats.welch import welch_over_seeds


def differences(table: Table, baseline: str | None, margin: float | None) -> list[Data]:
    """Every configuration against the baseline, else all pairs; ``margin`` as a fraction."""
    scores = _best_first(table)
    comparisons = compare(list(scores.values()), baseline, margin)
    rows = []
    for comparison in comparisons.rows:
        first, second = scores[comparison.method], scores[comparison.reference]
        row = _row(comparison)
        row["sign_flip_p"] = exact(sign_flip(first.seed_means - second.seed_means, first.source_codes))
        welch = welch_over_seeds(first, second)
        row["welch_p"] = None if isinstance(welch, NotAvailable) else exact(welch.p_value)
        rows.append(row)
    return rows


def over_datasets(tables: Sequence[Table], baseline: str | None) -> list[Data]:
    """Mean differences over the data sets that all of ``tables`` are, for methods that all of them hold.

    Empty with fewer than two tables or methods. Holm's adjustment is over the pairs.
    """
    order, by_table = list(mean_rank_of(tables)) if len(tables) > 1 else [], {}
    if len(order) < 2:
        return []
    for table in tables:
        scores = {row.name.text: row.scores for row in table.rows}
        rows = compare([scores[name] for name in order], baseline).rows
        by_table[table.benchmark] = {(row.method, row.reference): row for row in rows}
    shared = [pair for pair in next(iter(by_table.values()), {}) if all(pair in rows for rows in by_table.values())]
    means = [mean_over_datasets({name: rows[pair].difference for name, rows in by_table.items()}) for pair in shared]
    adjusted = holm([mean if isinstance(mean, NotAvailable) else mean.p_value for mean in means])
    return [
        _mean_row(pair, {name: rows[pair] for name, rows in by_table.items()}, mean, p)
        for pair, mean, p in zip(shared, means, adjusted, strict=True)
    ]


def _best_first(table: Table) -> dict[str, Scores]:
    """Scores by name, so that of a pair the first is the one with the higher score."""
    rows = sorted(table.rows, key=lambda row: -float(row.scores.seed_means.sum()))
    return {row.name.text: row.scores for row in rows}


def _row(comparison: Comparison) -> Data:
    difference, counts = comparison.difference, comparison.clip_counts
    plan, margin = seed_plan(difference), comparison.margin_test
    interval, parts = difference.interval(), difference.components
    untested = isinstance(comparison.verdict, NotAvailable)
    row = {
        "method": comparison.method,
        "reference": comparison.reference,
        "difference": exact(difference.value),
        "low": None if isinstance(interval, NotAvailable) else interval.low,
        "high": None if isinstance(interval, NotAvailable) else interval.high,
        "standard_error": exact(difference.standard_error),
        "standard_error_of_sources": exact(parts.source**0.5) if parts else None,
        "standard_error_of_runs": exact(parts.excess**0.5) if parts else None,
        "degrees_of_freedom": exact(difference.degrees_of_freedom),
        "p": exact(difference.p_value),
        "p_holm": exact(comparison.holm_p),
        "p_conservative": None if untested else _p_of(comparison.conservative),
        "test": difference.procedure,
        "question": difference.estimand,
        "verdict": f"no test: {comparison.verdict.reason}"
        if isinstance(comparison.verdict, NotAvailable)
        else str(comparison.verdict),
        "probability_of_superiority": exact(comparison.probability_of_superiority),
        "clips": None
        if isinstance(counts, NotAvailable)
        else {key: exact(value) for key, value in vars(counts).items()},
        "fold_test_p": _p_of(comparison.fold_test),
        "notes": list(difference.notes),
    }
    if not isinstance(plan, NotAvailable):
        row["irreducible_variance"], row["run_variance"] = plan.irreducible, plan.run_variance
        row["detectable_floor"] = plan.floor() if plan.irreducible > 0 else None
    if isinstance(detectable := detectable_now(difference), float):
        row["detectable_now"] = detectable
    if margin is not None:
        row |= {
            "margin": margin.margin,
            "p_non_inferior": exact(margin.non_inferiority_p),
            "p_non_inferior_holm": exact(margin.holm_non_inferiority_p),
            "p_equivalent": exact(margin.equivalence_p),
            "p_equivalent_holm": exact(margin.holm_equivalence_p),
            "probability_within_margin": exact(probability_within(difference, margin.margin)),
            "seeds_for_margin": None if isinstance(plan, NotAvailable) else exact(plan.seeds_for(margin.margin)),
            "margin_out_of_reach": not isinstance(plan, NotAvailable)
            and isinstance(plan.seeds_for(margin.margin), NotAvailable),
        }
    return row


def _mean_row(
    pair: tuple[str, str], rows: Mapping[str, Comparison], mean: Estimate | NotAvailable, holm_p: Quantity
) -> Data:
    single = {name: row.difference.value for name, row in rows.items()}
    new = new_dataset_test(list(single.values()))
    counted = wins_ties_losses((row.difference.value, row.holm_p) for row in rows.values())
    interval = mean if isinstance(mean, NotAvailable) else mean.interval()
    return {
        "method": pair[0],
        "reference": pair[1],
        "differences": {name: exact(value) for name, value in single.items()},
        "significant": [name for name, row in rows.items() if isinstance(row.holm_p, float) and row.holm_p < 0.05],
        "mean": sum(single.values()) / len(single),
        "standard_error": None if isinstance(mean, NotAvailable) else exact(mean.standard_error),
        "degrees_of_freedom": None if isinstance(mean, NotAvailable) else exact(mean.degrees_of_freedom),
        "low": None if isinstance(interval, NotAvailable) else interval.low,
        "high": None if isinstance(interval, NotAvailable) else interval.high,
        "p": None if isinstance(mean, NotAvailable) else exact(mean.p_value),
        "p_holm": exact(holm_p),
        **vars(counted),
        "p_new_data_set": None if isinstance(new, NotAvailable) else exact(new.p_value),
    }


def mean_rank_of(tables: Sequence[Table]) -> dict[str, float]:
    """Mean rank over data sets of the methods that all of ``tables`` hold, the best 1."""
    scores = [{row.name.text: float(row.scores.seed_means.mean()) for row in table.rows} for table in tables]
    shared = [name for name in scores[0] if all(name in its for its in scores)]
    ranks = mean_ranks(np.array([[its[name] for name in shared] for its in scores]))
    return dict(sorted(zip(shared, ranks.tolist(), strict=True), key=lambda item: item[1]))


def exact(value: Quantity) -> float | None:
    """The number, or None where there is none."""
    return None if isinstance(value, NotAvailable) else float(value)


def _p_of(estimate: Estimate | NotAvailable | None) -> float | None:
    return exact(estimate.p_value) if isinstance(estimate, Estimate) else None
