"""All comparisons of a set of configurations: differences, adjusted p-values, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.describe import ClipCounts, clip_counts, probability_of_superiority
from petl_bench.stats.engine import FEW_SOURCES, complete_contrast, fold_t, incompleteness, protocol_folds
from petl_bench.stats.equivalence import MarginTest, against_margin
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.letters import compact_letters, not_worse_than_best
from petl_bench.stats.multiplicity import family, holm
from petl_bench.stats.resampled_t import conservative_test
from petl_bench.stats.scores import Scores

LEVEL = 0.05


@dataclass(frozen=True)
class Verdict:
    """What a comparison shows; neither part set means inconclusive, which is not "no difference"."""

    direction: Literal["better", "worse"] | None
    within_margin: Literal["equivalent", "non-inferior"] | None

    def __str__(self) -> str:
        if self.direction and self.within_margin == "equivalent":
            return f"{self.direction}, within the margin"
        if self.direction == "better":
            return "better"
        return ", ".join(part for part in (self.direction, self.within_margin) if part) or "inconclusive"


@dataclass(frozen=True)
class Comparison:
    """One method against another. ``difference`` is method - reference, its interval and p-value not adjusted."""

    method: str
    reference: str
    difference: Estimate
    holm_p: Quantity
    conservative: Estimate | NotAvailable
    """The corrected resampled t-test, not adjusted."""
    margin_test: MarginTest | None
    """None where no margin was declared."""
    verdict: Verdict | NotAvailable
    probability_of_superiority: float
    clip_counts: ClipCounts | NotAvailable
    fold_test: Estimate | NotAvailable | None
    """Beside a two-way test of few sources, else None."""


@dataclass(frozen=True)
class Comparisons:
    """Comparisons of one family, and what all pairs say about the methods."""

    rows: tuple[Comparison, ...]
    letters: dict[str, str] | NotAvailable
    not_worse_than_best: tuple[str, ...]
    """Empty with one method, or where some pair has no test."""
    incomplete: dict[str, str]
    """Configurations without a run on some fold: no rank, no test."""
    notes: tuple[str, ...]


def compare(configurations: Sequence[Scores], baseline: str | None = None, margin: float | None = None) -> Comparisons:
    """Compare configurations of one data set: each with the ``baseline`` declared beforehand, else all pairs.

    Holm's adjustment is over the family printed; letters and "not worse than the best" always rest on all pairs.
    ``margin`` is in the unit of the scores. Raises UserError where clips differ, ValueError where names repeat, the
    baseline is none of them or the margin is not positive.
    """
    by_name = {scores.name: scores for scores in configurations}
    if len(by_name) < len(configurations):
        raise ValueError("configurations of a comparison need names of their own")
    folds = protocol_folds(configurations)
    incomplete = {name: lack for name, scores in by_name.items() if (lack := incompleteness(scores, folds)) is not None}
    complete = {name: scores for name, scores in by_name.items() if name not in incomplete}
    printed = [pair for pair in family(list(by_name), baseline) if not incomplete.keys() & set(pair)]
    differences = {
        (method, reference): complete_contrast((by_name[method], by_name[reference]), (1.0, -1.0))
        for method, reference in dict.fromkeys([*printed, *family(list(complete))])
    }
    all_pairs = {pair: differences[pair] for pair in family(list(complete))}
    different = _different_pairs(all_pairs)
    untested = [pair for pair, difference in all_pairs.items() if isinstance(difference.p_value, NotAvailable)]
    means = {name: float(scores.seed_means.mean()) for name, scores in complete.items()}
    return Comparisons(
        _rows(by_name, {pair: differences[pair] for pair in printed}, margin),
        NotAvailable(f"no test of {' and '.join(untested[0])}") if untested else compact_letters(means, different),
        () if untested or len(complete) < 2 else not_worse_than_best(means, different),
        incomplete,
        tuple(dict.fromkeys(note for scores in configurations for note in scores.notes())),
    )


def verdict(difference: Estimate, holm_p: Quantity, margin_test: MarginTest | None = None) -> Verdict | NotAvailable:
    """What a comparison shows at level 0.05, adjusted over its family. Not available where there was no test."""
    direction: Literal["better", "worse"] | None = None
    if _significant(holm_p):
        direction = "better" if difference.value > 0 else "worse"
    if margin_test and _significant(margin_test.holm_equivalence_p):
        return Verdict(direction, "equivalent")
    if margin_test and _significant(margin_test.holm_non_inferiority_p):
        return Verdict(direction, "non-inferior")
    return holm_p if isinstance(holm_p, NotAvailable) else Verdict(direction, None)


def _different_pairs(all_pairs: dict[tuple[str, str], Estimate]) -> list[tuple[str, str]]:
    adjusted = holm([difference.p_value for difference in all_pairs.values()])
    return [pair for pair, p in zip(all_pairs, adjusted, strict=True) if _significant(p)]


def _rows(
    by_name: dict[str, Scores], differences: dict[tuple[str, str], Estimate], margin: float | None
) -> tuple[Comparison, ...]:
    """The comparisons of one family, adjusted over it."""
    holm_p = holm([difference.p_value for difference in differences.values()])
    margin_tests: Sequence[MarginTest | None] = [None] * len(differences)
    if margin is not None:
        margin_tests = against_margin(list(differences.values()), margin)
    return tuple(
        _row(by_name[pair[0]], by_name[pair[1]], difference, p, margin_test)
        for (pair, difference), p, margin_test in zip(differences.items(), holm_p, margin_tests, strict=True)
    )


def _row(
    method: Scores, reference: Scores, difference: Estimate, holm_p: Quantity, margin_test: MarginTest | None
) -> Comparison:
    few_sources = difference.procedure == "two-way" and method.source_count < FEW_SOURCES
    return Comparison(
        method.name,
        reference.name,
        difference,
        holm_p,
        conservative_test(method, reference),
        margin_test,
        verdict(difference, holm_p, margin_test),
        probability_of_superiority(method, reference),
        clip_counts(method, reference),
        fold_t((method, reference), (1.0, -1.0)) if few_sources else None,
    )


def _significant(p_value: Quantity | None) -> bool:
    return isinstance(p_value, float) and p_value < LEVEL
