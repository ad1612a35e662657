"""A worked example, digit for digit: numbers of an independent program, checked there against other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.comparisons import compare
from petl_bench.stats.describe import clip_counts, describe, probability_of_superiority
from petl_bench.stats.engine import contrast, fold_t
from petl_bench.stats.equivalence import against_margin
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.intervals import wilson
from petl_bench.stats.letters import compact_letters
from petl_bench.stats.multiplicity import benjamini_hochberg, family, holm
from petl_bench.stats.planning import SeedPlan, detection_factor, seed_plan
from petl_bench.stats.resampled_t import corrected_resampled_t
from petl_bench.stats.scores import Scores, fold_means
from petl_bench.stats.trained_models import mcnemar, sign_flip
from petl_bench.stats.trend import linear_trend, page_trend
from tests.stats.example import UNEQUAL_FOLDS, bounds, example, fold_table, prints


def difference(first: Scores, second: Scores) -> Estimate:
    estimate = contrast((first, second), (1, -1))
    assert isinstance(estimate, Estimate)
    return estimate


def pair(names: str) -> Estimate:
    return difference(example(names[0]), example(names[1]))


def has_components(estimate: Estimate, source: str, run: str, both: str) -> bool:
    parts = estimate.components
    return parts is not None and prints(parts.source, source) and prints(parts.run, run) and prints(parts.both, both)


@pytest.mark.parametrize(
    ("name", "accuracy", "folds", "fold_sd", "population", "seed_sd", "components", "error", "df", "interval"),
    [
        ("A", ".925", (1, 0.875, 1, 0.75, 1), ".111803", ".1", ".035355", (".00259487", ".000625", ".000625"),
         ".05093983", "14", (".815745", "1.034255")),
        ("B", ".600", (0.5, 0.625, 0.75, 0.5, 0.625), ".104583", ".093541", ".141421",
         (".00642857", ".00375", ".0025"), ".08762746", "18.06168016", (".415947", ".784053")),
        ("C", ".800", (1, 0.625, 0.75, 0.75, 0.875), ".142522", ".127475", "0", (".00375", ".00375", ".0025"),
         ".07071068", "18.98305085", (".651992", ".948008")),
    ],
)  # fmt: skip
def test_one_configuration(
    name: str, accuracy: str, folds: tuple[float, ...], fold_sd: str, population: str, seed_sd: str,
    components: tuple[str, str, str], error: str, df: str, interval: tuple[str, str],
) -> None:  # fmt: skip
    scores = example(name)
    row = describe(scores)
    assert prints(row.score, accuracy)
    assert fold_means(scores, scores.seed_means).tolist() == list(folds)
    assert prints(row.fold_sd, fold_sd)
    assert prints(row.fold_sd_population, population)
    assert prints(row.seed_sd, seed_sd)
    estimate = contrast((scores,), (1,))
    assert isinstance(estimate, Estimate)
    assert has_components(estimate, *components)
    assert prints(estimate.standard_error, error)
    assert prints(estimate.degrees_of_freedom, df)
    low, high = bounds(estimate.interval())
    assert prints(low, interval[0])
    assert prints(high, interval[1])
    assert bounds(row.interval) == (low, min(high, 1.0))


@pytest.mark.parametrize(
    ("names", "delta", "components", "error", "df", "p_value", "interval"),
    [
        ("AB", ".325", (".00647879", ".004375", ".003125"), ".08791356", "18.93651624", ".00153789",
         (".140953", ".509047")),
        ("AC", ".125", (".00192522", ".004375", ".003125"), ".05634912", "23.94790761", ".03626879",
         (".008688", ".241312")),
        ("BC", "-.2", (".0075", ".0075", ".005"), ".1", "21.53846154", ".05826756", ("-.407645", ".007645")),
    ],
)  # fmt: skip
def test_two_way_difference(
    names: str, delta: str, components: tuple[str, str, str], error: str, df: str, p_value: str,
    interval: tuple[str, str],
) -> None:  # fmt: skip
    estimate = pair(names)
    assert estimate.procedure == "two-way"
    assert prints(estimate.value, delta)
    assert has_components(estimate, *components)
    assert prints(estimate.standard_error, error)
    assert prints(estimate.degrees_of_freedom, df)
    assert prints(estimate.p_value, p_value)
    low, high = bounds(estimate.interval())
    assert prints(low, interval[0])
    assert prints(high, interval[1])


@pytest.mark.parametrize(
    ("names", "t", "p_value", "quarter", "third", "flip", "wilcoxon"),
    [
        ("AB", "6.5", ".00289001", ("4.333333", ".01231735"), ("3.980421", ".01639536"), ".0078125", ".0625"),
        ("AC", "2.236068", ".08900934", ("1.490712", ".21029538"), ("1.369306", ".24274981"), ".0625", ".25"),
        ("BC", "-2.138090", ".09930068", ("-1.425393", ".22717688"), ("-1.309307", ".26057455"), ".07617188", ".25"),
    ],
)
def test_other_tests_of_a_difference(
    names: str, t: str, p_value: str, quarter: tuple[str, str], third: tuple[str, str], flip: str, wilcoxon: str
) -> None:
    first, second = example(names[0]), example(names[1])
    by_folds = fold_t((first, second), (1, -1))
    assert isinstance(by_folds, Estimate)
    assert isinstance(by_folds.standard_error, float)
    assert prints(by_folds.value / by_folds.standard_error, t)
    assert prints(by_folds.p_value, p_value)
    table = fold_table(names)
    differences = table[names[0]] - table[names[1]]
    for ratio, expected in ((1 / 4, quarter), (1 / 3, third)):
        corrected = corrected_resampled_t(differences, ratio)
        assert isinstance(corrected, Estimate)
        assert isinstance(corrected.standard_error, float)
        assert prints(corrected.value / corrected.standard_error, expected[0])
        assert prints(corrected.p_value, expected[1])
    assert prints(sign_flip(first.seed_means - second.seed_means, first.source_codes), flip)
    assert prints(float(stats.wilcoxon(differences).pvalue), wilcoxon)  # why it is not offered: see compare_ranks


def test_families_letters_and_superiority() -> None:
    names = ("AB", "AC", "BC")
    p_values = [pair(name).p_value for name in names]
    assert family("ABC") == [tuple(name) for name in names]
    for value, expected in zip(holm(p_values), (".00461366", ".07253759", ".07253759"), strict=True):
        assert prints(value, expected)
    for value, expected in zip(benjamini_hochberg(p_values), (".00461366", ".05440319", ".05826756"), strict=True):
        assert prints(value, expected)
    result = compare([example(name) for name in "ABC"])
    assert result.letters == {"A": "a", "B": "b", "C": "ab"}
    assert compact_letters({"A": 0.925, "B": 0.6, "C": 0.8}, [("A", "B")]) == result.letters
    assert prints(probability_of_superiority(example("A"), example("B")), ".975")
    assert prints(probability_of_superiority(example("A"), example("C")), ".675")


def test_one_seed() -> None:
    first, second = example("A", seeds=(0,)), example("B", seeds=(0,))
    estimate = difference(first, second)
    assert estimate.procedure == "fold t"
    assert isinstance(estimate.standard_error, float)
    assert prints(estimate.value / estimate.standard_error, "4")
    assert estimate.degrees_of_freedom == 4
    assert prints(estimate.p_value, ".01613009")
    low, high = bounds(estimate.interval())
    assert prints(low, ".061178")
    assert prints(high, ".338822")
    counts = clip_counts(first, second)
    assert not isinstance(counts, NotAvailable)
    assert (counts.only_first, counts.only_second) == (4, 0)
    assert prints(mcnemar(4, 0), ".125")
    assert prints(sign_flip(first.seed_means - second.seed_means, first.source_codes), ".125")
    assert prints(mcnemar(2, 0), ".5")
    alone = contrast((first,), (1,))
    assert isinstance(alone, Estimate)
    low, high = bounds(alone.interval())
    assert prints(low, ".729978")
    assert prints(high, "1.070022")
    low, high = bounds(wilson(18, 20))
    assert prints(low, ".698966")
    assert prints(high, ".972134")


@pytest.mark.parametrize(
    ("margin", "equivalence", "a_not_worse", "c_not_worse"),
    [
        (0.10, ".66936540", ".00026906", ".669365"),
        (0.15, ".33063460", ".00002831", ".330635"),
        (0.30, ".00241485", None, ".002415"),
    ],
)
def test_margins(margin: float, equivalence: str, a_not_worse: str | None, c_not_worse: str) -> None:
    (test,) = against_margin([pair("AC")], margin)
    assert prints(test.equivalence_p, equivalence)
    if a_not_worse is not None:
        assert prints(test.non_inferiority_p, a_not_worse)
    (reverse,) = against_margin([pair("CA")], margin)
    assert prints(reverse.non_inferiority_p, c_not_worse)


def test_equivalence_over_folds() -> None:
    by_folds = fold_t((example("A"), example("C")), (1, -1))
    assert isinstance(by_folds, Estimate)
    assert prints(against_margin([by_folds], 0.15)[0].equivalence_p, ".33893441")


def test_trends() -> None:
    levels = [example(name) for name in "BCA"]
    trend = linear_trend(levels, (0, 1, 2))
    assert isinstance(trend, Estimate)
    assert prints(trend.value, ".1625")
    assert prints(trend.standard_error, ".04395678")
    assert prints(trend.degrees_of_freedom, "18.93651624")
    assert prints(trend.p_value, ".00153789")
    assert prints(page_trend(levels), ".00655864")
    table = fold_table("BCA")
    assert stats.page_trend_test(np.column_stack(list(table.values()))).statistic == 68


def test_unequal_folds() -> None:
    first, second = example("A", folds=UNEQUAL_FOLDS), example("B", folds=UNEQUAL_FOLDS)
    estimate = difference(first, second)
    assert prints(estimate.value, ".325")
    assert estimate.components is not None
    assert prints(estimate.components.run, ".006875")
    assert prints(estimate.standard_error, ".10113750")
    assert prints(estimate.degrees_of_freedom, "23.75512805")
    assert prints(estimate.p_value, ".00374943")
    means = [describe(scores).mean_of_folds for scores in (first, second)]
    assert isinstance(means[0], float)
    assert isinstance(means[1], float)
    assert prints(means[0] - means[1], ".308333")
    one_seed = difference(example("A", seeds=(0,), folds=UNEQUAL_FOLDS), example("B", seeds=(0,), folds=UNEQUAL_FOLDS))
    assert isinstance(one_seed.standard_error, float)
    assert prints(one_seed.standard_error, ".04472136")
    assert prints(one_seed.value / one_seed.standard_error, "4.47213595")
    assert prints(one_seed.p_value, ".01105649")


def test_a_missing_run() -> None:
    estimate = difference(example("A", missing=[(0, 1)]), example("B"))
    assert prints(estimate.value, ".325")
    assert estimate.components is not None
    assert prints(estimate.components.run, ".0046875")
    assert prints(estimate.components.both, ".0034375")
    assert prints(estimate.standard_error, ".08791356")
    assert prints(estimate.degrees_of_freedom, "18.83286596")
    assert prints(estimate.p_value, ".00154956")
    assert estimate.notes[0] == "A: one seed on fold 0, its variance taken from other folds"


def test_identical_predictions() -> None:
    estimate = pair("AA")
    assert (estimate.value, estimate.standard_error, estimate.p_value) == (0, 0, 1)
    assert bounds(estimate.interval()) == (0, 0)
    assert estimate.notes == ("identical predictions, same run twice?",)


def test_planning() -> None:
    plan = seed_plan(pair("AB"))
    assert isinstance(plan, SeedPlan)
    assert prints(detection_factor(), "2.801585")
    assert prints(plan.irreducible, ".00335379")
    assert prints(plan.run_variance, ".00875")
    assert prints(plan.minimum_detectable(2), ".24629734")
    assert prints(plan.floor(), ".16224528")
    assert prints(plan.seeds_for(0.20), "5.0216")
    assert prints(plan.seeds_for(0.25), "1.8984")
