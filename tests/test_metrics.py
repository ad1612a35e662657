"""Metrics against hand-made cases and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from petl_bench.metrics import calibration_error, evaluate


def test_metrics_equal_scikit_learns() -> None:
    random = np.random.default_rng(0)
    logits = random.standard_normal((200, 6)).astype(np.float32)
    targets = random.choice(6, size=200, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.05])
    found = evaluate(logits, targets)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predicted = logits.argmax(axis=1)
    assert found["accuracy"] == np.mean(predicted == targets)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(targets, predicted, average="macro"))
    assert found["loss"] == pytest.approx(log_loss(targets, probabilities), rel=1e-6)


def test_calibration_error_by_hand() -> None:
    """Two bins: 0.9 confident and half right, 0.6 confident and always right: (2 * 0.4 + 2 * 0.4) / 4."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.4)


def test_a_certain_and_right_model_is_calibrated() -> None:
    found = evaluate(np.array([[50.0, 0.0], [0.0, 50.0]], dtype=np.float32), np.array([0, 1]))
    assert found["calibration_error"] == pytest.approx(0)
    assert found["loss"] == pytest.approx(0)


def test_a_class_that_no_test_clip_has_does_not_count() -> None:
    found = evaluate(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1]))
    assert found["balanced_accuracy"] == found["macro_f1"] == 1.0
