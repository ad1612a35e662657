"""The standard errors against a transcription of their formulas, other libraries, and what must not change them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.engine import contrast, fold_t, two_way
from petl_bench.stats.estimate import Estimate, Interval
from petl_bench.stats.scores import Scores
from tests.stats.example import Missing, example, scores_of

FOLDS = np.repeat([1, 2, 3, 4], [5, 9, 6, 4])
SOURCES = np.concatenate([np.arange(12), np.arange(6), [3, 3, 20, 20, 21, 22]])


def two_way_by_hand(
    values: list[npt.NDArray[np.float64]], missing: list[Missing], weights: tuple[float, ...], folds: npt.NDArray[np.int64],
    sources: npt.NDArray[np.int64],
) -> tuple[float, float, float]:  # fmt: skip
    """Value, standard error and degrees of freedom, term by term as they are printed."""
    clips, fold_names, source_names = len(folds), sorted(set(folds)), sorted(set(sources))
    d = np.zeros(clips)
    v_run = v_both = df_run = 0.0
    for y, gone, w in zip(values, missing, weights, strict=True):
        s2, clip_variance, count = {}, {}, {}
        for k in fold_names:
            seeds = [s for s in range(len(y)) if (k, s) not in gone]
            block = y[np.ix_(seeds, folds == k)]
            d[folds == k] += w * block.mean(axis=0)
            count[k] = len(seeds)
            if len(seeds) > 1:
                s2[k] = np.var([row.mean() for row in block], ddof=1)
                clip_variance[k] = np.mean([np.var(column, ddof=1) for column in block.T])
        for k in fold_names:
            n = sum(folds == k)
            variance = s2.get(k, np.mean(list(s2.values())))
            per_clip = clip_variance.get(k, np.mean(list(clip_variance.values())))
            v_run += w**2 * (n / clips) ** 2 * variance / count[k]
            v_both += w**2 * n * per_clip / (count[k] * clips**2)
            df_run += count[k] - 1
    g = len(source_names)
    v_source = g / (g - 1) * sum(sum(d[sources == name] - d.mean()) ** 2 for name in source_names) / clips**2
    excess = max(0.0, v_run - v_both)
    v = v_source + excess
    return d.mean(), np.sqrt(v), v**2 / (v_source**2 / (g - 1) + excess**2 / df_run)


def noisy(random: np.random.Generator, seeds: int, shift: float = 0.0) -> npt.NDArray[np.float64]:
    """Scores with noise of clips and of runs."""
    runs = random.standard_normal((seeds, 4))[:, FOLDS - 1]
    return random.standard_normal((seeds, len(FOLDS))) + runs + shift


@pytest.mark.parametrize("seed", range(5))
def test_two_way_equals_its_formulas_whatever_runs_are_missing(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = [noisy(random, seeds) for seeds in (2, 3, 4)]
    missing: list[Missing] = [[(2, 1)], [(1, 0), (1, 2), (3, 1)], []]
    weights = (1.0, -0.25, -0.75)
    configurations = [scores_of(y, FOLDS, SOURCES, missing=gone) for y, gone in zip(values, missing, strict=True)]
    estimate = two_way(configurations, weights)
    assert isinstance(estimate, Estimate)
    found = (estimate.value, estimate.standard_error, estimate.degrees_of_freedom)
    assert found == pytest.approx(two_way_by_hand(values, missing, weights, FOLDS, SOURCES), rel=1e-12)
    assert estimate.components is not None
    assert estimate.components.excess > 0


def test_its_source_part_is_the_cluster_robust_variance_of_a_mean() -> None:
    api = pytest.importorskip("statsmodels.api")
    random = np.random.default_rng(1)
    first, second = (scores_of(noisy(random, 3), FOLDS, SOURCES) for _ in range(2))
    estimate = two_way((first, second), (1, -1))
    fit = api.OLS(first.seed_means - second.seed_means, np.ones(len(FOLDS))).fit(
        cov_type="cluster", cov_kwds={"groups": first.source_codes}
    )
    assert isinstance(estimate, Estimate)
    assert estimate.components is not None
    assert estimate.components.source == pytest.approx(fit.cov_params()[0, 0], rel=1e-10)


def test_its_run_part_is_the_cluster_robust_variance_over_runs_on_one_split() -> None:
    api = pytest.importorskip("statsmodels.api")
    random = np.random.default_rng(2)
    y = random.standard_normal((4, 30)) + random.standard_normal((4, 1))
    fit = api.OLS(y.ravel(), np.ones(y.size)).fit(cov_type="cluster", cov_kwds={"groups": np.repeat(np.arange(4), 30)})
    estimate = two_way([scores_of(y, np.ones(30, dtype=int))], [1.0])
    assert isinstance(estimate, Estimate)
    assert estimate.components is not None
    assert estimate.components.run == pytest.approx(fit.cov_params()[0, 0], rel=1e-10)


def test_fold_test_is_the_paired_t_test_of_equal_folds() -> None:
    for seeds in ((0,), (0, 1)):
        first, second = example("A", seeds), example("C", seeds)
        estimate = fold_t((first, second), (1, -1))
        oracle = stats.ttest_rel(
            first.seed_means.reshape(5, 4).mean(axis=1), second.seed_means.reshape(5, 4).mean(axis=1)
        )
        assert isinstance(estimate, Estimate)
        assert estimate.p_value == pytest.approx(oracle.pvalue, rel=1e-10)
        interval, expected = estimate.interval(), oracle.confidence_interval()
        assert isinstance(interval, Interval)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-10)


matrices = st.integers(2, 3).flatmap(
    lambda seeds: st.lists(
        st.lists(st.integers(0, 1), min_size=len(FOLDS), max_size=len(FOLDS)), min_size=seeds, max_size=seeds
    )
)


def numbers(estimate: Estimate | NotAvailable) -> list[object]:
    assert isinstance(estimate, Estimate)
    return [estimate.value, estimate.standard_error, estimate.degrees_of_freedom, estimate.p_value]


@settings(max_examples=60, deadline=None)
@given(first=matrices, second=matrices, order=st.permutations(range(len(FOLDS))))
def test_names_and_order_carry_no_information(
    first: list[list[int]], second: list[list[int]], order: list[int]
) -> None:
    """Swapping methods changes the sign alone; clips, seeds and source names may come in any order."""
    a, b = scores_of(first, FOLDS, SOURCES), scores_of(second, FOLDS, SOURCES)
    forward, backward = contrast((a, b), (1, -1)), contrast((b, a), (1, -1))
    assert isinstance(forward, Estimate)
    assert isinstance(backward, Estimate)
    assert forward.value == pytest.approx(-backward.value, abs=1e-15)
    assert numbers(forward)[1:] == pytest.approx(numbers(backward)[1:])

    def shuffled(values: list[list[int]]) -> Scores:
        rows = np.array(values)[::-1][:, order]
        return scores_of(rows, FOLDS[order], [f"name {99 - source}" for source in SOURCES[order]])

    again = contrast((shuffled(first), shuffled(second)), (1, -1))
    assert numbers(again) == pytest.approx(numbers(forward), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(first=matrices, second=matrices)
def test_no_outcome_is_nan(first: list[list[int]], second: list[list[int]]) -> None:
    for seeds in (slice(None), slice(1)):
        estimate = contrast(
            (scores_of(first[seeds], FOLDS, SOURCES), scores_of(second[seeds], FOLDS, SOURCES)), (1, -1)
        )
        interval = estimate.interval() if isinstance(estimate, Estimate) else None
        found = [*numbers(estimate), *(vars(interval).values() if isinstance(interval, Interval) else ())]
        assert all(np.isfinite(number) for number in found if isinstance(number, float))
        assert isinstance(estimate, Estimate)
        if isinstance(estimate.p_value, float):
            assert 0 <= estimate.p_value <= 1


def test_scale_and_shift_move_the_estimate_as_they_should() -> None:
    random = np.random.default_rng(3)
    values = [noisy(random, 3), noisy(random, 3, shift=0.5)]
    plain = contrast([scores_of(y, FOLDS, SOURCES) for y in values], (1, -1))
    percent = contrast([scores_of(100 * y + 7, FOLDS, SOURCES) for y in values], (1, -1))
    expected = numbers(plain)
    assert numbers(percent) == pytest.approx([100 * expected[0], 100 * expected[1], *expected[2:]])  # type: ignore[operator]


def test_more_seeds_shrink_the_run_part_and_not_the_source_part() -> None:
    """Three seeds repeated four times: per-seed noise as before, four times as many runs."""
    random = np.random.default_rng(4)
    y = noisy(random, 3)
    few, many = (two_way([scores_of(values, FOLDS, SOURCES)], [1.0]) for values in (y, np.tile(y, (4, 1))))
    assert isinstance(few, Estimate)
    assert isinstance(many, Estimate)
    assert few.components is not None
    assert many.components is not None
    assert many.components.source == pytest.approx(few.components.source)
    assert many.components.run == pytest.approx(few.components.run / 4 * (4 * 2 / 11))
    assert many.components.run_degrees_of_freedom == 4 * 11
