"""Do the default tests reject a true null hypothesis as often as they say? Simulated studies on clips like ESC-50's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.scores import Scores
from petl_bench.stats.trained_models import sign_flip

REPETITIONS = 1_000
FOLD_SOURCES = [1] * 240 + [2] * 40 + [3] * 20 + [5] * 4  # clips per source: 400 clips, 304 sources
FOLDS = np.repeat(np.arange(1, 6), 400)
SOURCES = np.repeat(np.arange(5 * len(FOLD_SOURCES)), FOLD_SOURCES * 5)
CLIP_IDS, SOURCE_NAMES = np.arange(2_000).astype(str), SOURCES.astype(str)
ACCURACY = 0.92


def study(random: np.random.Generator, seeds: int, run_sd: float) -> tuple[Scores, Scores]:
    """Two configurations with the same distribution: hard clips and sources are shared, tastes for them are not.

    A clip is right where a latent normal is positive; what clips, sources, seeds and methods add to it has total
    variance 1. ``run_sd`` is the standard deviation of a run's accuracy that all its clips share.
    """
    threshold = norm.ppf(ACCURACY)
    shared = np.sqrt(0.55) * random.standard_normal(2_000) + np.sqrt(0.2) * random.standard_normal(1_520)[SOURCES]

    def configuration(name: str) -> Scores:
        taste = np.sqrt(0.06) * random.standard_normal(2_000) + np.sqrt(0.03) * random.standard_normal(1_520)[SOURCES]
        noise = np.sqrt(0.16) * random.standard_normal((seeds, 2_000))
        runs = run_sd / norm.pdf(threshold) * random.standard_normal((seeds, 5))[:, FOLDS - 1]
        right = (threshold + shared + taste + noise + runs > 0).astype(float)
        return Scores(name, CLIP_IDS, SOURCE_NAMES, FOLDS, tuple(range(seeds)), right, (1, 2, 3, 4, 5))

    return configuration("A"), configuration("B")


def rejected(p_values: list[float]) -> float:
    return float(np.mean(np.array(p_values) < 0.05))


def p_value(pair: tuple[Scores, Scores], procedure: str) -> float:
    estimate = contrast(pair, (1, -1))
    assert isinstance(estimate, Estimate)
    assert estimate.procedure == procedure
    assert isinstance(estimate.p_value, float)
    return estimate.p_value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run_sd", "seed"),
    [
        (0.01, 402),
        pytest.param(0.0, 401, marks=pytest.mark.exhaustive),
        pytest.param(0.02, 403, marks=pytest.mark.exhaustive),
    ],
)
def test_three_seeds_without_a_difference_are_rejected_at_the_level_stated(run_sd: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = (study(random, 3, run_sd) for _ in range(REPETITIONS))
    assert 0.035 <= rejected([p_value(pair, "two-way") for pair in pairs]) <= 0.075


@pytest.mark.slow
def test_one_seed_without_a_difference_is_rejected_at_the_level_stated() -> None:
    random = np.random.default_rng(404)
    pairs = (study(random, 1, 0.01) for _ in range(REPETITIONS))
    assert 0.035 <= rejected([p_value(pair, "fold t") for pair in pairs]) <= 0.075


@pytest.mark.slow
def test_the_simulation_catches_a_test_that_ignores_run_noise() -> None:
    """Without this the tests above would prove nothing."""
    random = np.random.default_rng(405)
    pairs = [study(random, 3, 0.02) for _ in range(200)]
    flips = [sign_flip(first.seed_means - second.seed_means, SOURCES, random) for first, second in pairs]
    assert rejected(flips) > 0.15


@pytest.mark.slow
def test_the_simulated_clips_are_like_real_ones() -> None:
    random = np.random.default_rng(406)
    pairs = [study(random, 1, 0.0) for _ in range(20)]
    assert np.mean([first.values.mean() for first, _ in pairs]) == pytest.approx(ACCURACY, abs=0.005)
    assert 0.06 < np.mean([(first.values != second.values).mean() for first, second in pairs]) < 0.10
