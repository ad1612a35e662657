"""Metrics of a set of clips from logits and targets. Fractions, not percent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

CALIBRATION_BINS = 15


def evaluate(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro-F1, negative log-likelihood (nats) and expected calibration error.

    ``logits`` is ``[clips, classes]``. Balanced accuracy and macro-F1 run over the classes among the targets; macro-F1
    also over predicted classes.
    """
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    predicted = logits.argmax(axis=1)
    recall, f1 = recall_and_f1(predicted, targets, logits.shape[1])
    return {
        "accuracy": float(np.mean(predicted == targets)),
        "balanced_accuracy": float(np.nanmean(recall)),
        "macro_f1": float(np.nanmean(f1)),
        "loss": float(-log_probabilities[np.arange(len(targets)), targets].mean()),
        "calibration_error": calibration_error(np.exp(log_probabilities), targets),
    }


def recall_and_f1(
    predicted: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], classes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Recall and F1 of every class, ``[classes]`` each; NaN where there is nothing to count.

    With hits h, clips n of a class and predictions m of it: h / n and 2 h / (n + m).
    """
    clips, predictions = (np.bincount(labels, minlength=classes) for labels in (targets, predicted))
    hits = np.bincount(targets[predicted == targets], minlength=classes)
    with np.errstate(invalid="ignore"):
        return hits / clips, 2 * hits / (clips + predictions)


def calibration_error(probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """Expected calibration error: sum over 15 equal bins of the top probability of share * |accuracy - confidence|.

    ``probabilities`` is ``[clips, classes]`` (Guo et al., arXiv 1706.04599, eq. 3; bins open on the left).
    """
    confidence = probabilities.max(axis=1)
    correct = (probabilities.argmax(axis=1) == targets).astype(np.float64)
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gap = np.bincount(bins, weights=correct - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(targets))
