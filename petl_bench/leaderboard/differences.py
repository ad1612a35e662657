"""Configurations of one table against each other, and their differences over several data sets, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from petl_bench.leaderboard.report import Data, number
from petl_bench.leaderboard.tables import Table
from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.comparisons import Comparison, compare
from petl_bench.stats.datasets import mean_over_datasets, new_dataset_test, wins_ties_losses
from petl_bench.stats.equivalence import probability_within
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.multiplicity import holm
from petl_bench.stats.planning import seed_plan
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
        row["sign_flip_p"] = number(sign_flip(first.seed_means - second.seed_means, first.source_codes))
        welch = welch_over_seeds(first, second)
        row["welch_p"] = None if isinstance(welch, NotAvailable) else number(welch.p_value)
        rows.append(row)
    return rows


def over_datasets(tables: Sequence[Table], baseline: str | None) -> list[Data]:
    """Mean differences over the data sets that all of ``tables`` are, for methods that all of them hold.

    Empty with fewer than two tables. Holm's adjustment is over the pairs.
    """
    by_table = {}
    for table in tables:
        rows = compare([row.scores for row in table.rows], baseline).rows
        by_table[table.benchmark] = {(row.method, row.reference): row for row in rows}
    shared = [pair for pair in next(iter(by_table.values()), {}) if all(pair in rows for rows in by_table.values())]
    if len(by_table) < 2 or not shared:
        return []
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
    row = {
        "method": comparison.method,
        "reference": comparison.reference,
        "difference": number(difference.value),
        "low": None if isinstance(interval, NotAvailable) else number(interval.low),
        "high": None if isinstance(interval, NotAvailable) else number(interval.high),
        "standard_error": number(difference.standard_error),
        "standard_error_of_sources": number(parts.source**0.5) if parts else None,
        "standard_error_of_runs": number(parts.excess**0.5) if parts else None,
        "degrees_of_freedom": number(difference.degrees_of_freedom),
        "p": number(difference.p_value),
        "p_holm": number(comparison.holm_p),
        "p_conservative": _p_of(comparison.conservative),
        "test": difference.procedure,
        "question": difference.estimand,
        "verdict": f"no test: {comparison.verdict.reason}"
        if isinstance(comparison.verdict, NotAvailable)
        else str(comparison.verdict),
        "probability_of_superiority": number(comparison.probability_of_superiority),
        "clips": None
        if isinstance(counts, NotAvailable)
        else {key: number(value) for key, value in vars(counts).items()},
        "fold_test_p": _p_of(comparison.fold_test),
        "notes": list(difference.notes),
    }
    if not isinstance(plan, NotAvailable):
        row["irreducible_variance"], row["run_variance"] = number(plan.irreducible), number(plan.run_variance)
        row["detectable_floor"] = number(plan.floor())
    if margin is not None:
        row |= {
            "margin": margin.margin,
            "p_non_inferior": number(margin.non_inferiority_p),
            "p_non_inferior_holm": number(margin.holm_non_inferiority_p),
            "p_equivalent": number(margin.equivalence_p),
            "p_equivalent_holm": number(margin.holm_equivalence_p),
            "probability_within_margin": number(probability_within(difference, margin.margin)),
            "seeds_for_margin": None if isinstance(plan, NotAvailable) else number(plan.seeds_for(margin.margin)),
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
        "differences": {name: number(value) for name, value in single.items()},
        "significant": [name for name, row in rows.items() if isinstance(row.holm_p, float) and row.holm_p < 0.05],
        "mean": number(sum(single.values()) / len(single)),
        "low": None if isinstance(interval, NotAvailable) else number(interval.low),
        "high": None if isinstance(interval, NotAvailable) else number(interval.high),
        "p": None if isinstance(mean, NotAvailable) else number(mean.p_value),
        "p_holm": number(holm_p),
        **vars(counted),
        "p_new_data_set": None if isinstance(new, NotAvailable) else number(new.p_value),
    }


def _p_of(estimate: Estimate | NotAvailable | None) -> float | None:
    return number(estimate.p_value) if isinstance(estimate, Estimate) else None
