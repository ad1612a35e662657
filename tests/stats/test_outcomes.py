"""Scores of clips from logits, and pseudo-values for metrics that are no mean over clips."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from petl_bench.metrics import evaluate
from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.outcomes import correctness, log_likelihood, negative_brier, pseudo_values
from tests.stats.example import scores_of

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.standard_normal((50, 4)).astype(np.float32)
TARGETS = RANDOM.integers(0, 4, 50)


def test_means_of_scores_are_the_metrics_of_the_run() -> None:
    metrics = evaluate(LOGITS, TARGETS)
    assert correctness(LOGITS, TARGETS).mean() == pytest.approx(metrics["accuracy"])
    assert -log_likelihood(LOGITS, TARGETS).mean() == pytest.approx(metrics["loss"])


def test_brier_by_hand() -> None:
    even = np.zeros((1, 2), dtype=np.float32)
    assert negative_brier(even, np.array([0])).tolist() == [-0.5]
    certain = np.array([[100.0, 0.0]], dtype=np.float32)
    assert negative_brier(certain, np.array([0])) == pytest.approx([0])
    assert negative_brier(certain, np.array([1])) == pytest.approx([-2])


def test_a_logit_that_is_not_finite_is_no_score() -> None:
    logits = LOGITS.copy()
    logits[3, 1] = np.nan
    for score in (correctness, log_likelihood, negative_brier):
        assert np.flatnonzero(np.isnan(score(logits, TARGETS))).tolist() == [3]


def test_pseudo_values_of_a_mean_are_its_clips() -> None:
    right = correctness(LOGITS, TARGETS)
    names, values = pseudo_values(np.array([f"{number:02d}" for number in range(50)]), lambda keep: right[keep].mean())
    assert names.tolist() == [f"{number:02d}" for number in range(50)]
    assert values == pytest.approx(right)


def test_pseudo_values_give_a_metric_its_jackknife_standard_error() -> None:
    predicted = LOGITS.argmax(axis=1)
    sources = RANDOM.integers(0, 20, 50).astype(str)

    def macro_f1(keep: np.ndarray) -> float:
        return float(f1_score(TARGETS[keep], predicted[keep], labels=range(4), average="macro", zero_division=0.0))

    names, values = pseudo_values(sources, macro_f1)
    without = [macro_f1(sources != name) for name in names]
    jackknife = (len(names) - 1) / len(names) * np.sum((without - np.mean(without)) ** 2)
    estimate = contrast([scores_of(np.tile(values, (2, 1)), np.ones(len(names), dtype=int))], [1.0])
    assert isinstance(estimate, Estimate)
    assert estimate.standard_error == pytest.approx(np.sqrt(jackknife))
    assert estimate.value == pytest.approx(
        len(names) * macro_f1(np.ones(50, bool)) - (len(names) - 1) * np.mean(without)
    )
