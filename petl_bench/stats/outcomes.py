"""Scores of single clips, ``[clips]``, from logits ``[clips, classes]`` and class numbers. Higher is better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from petl_bench.stats.scores import Floats

Logits = npt.NDArray[np.floating]
Targets = npt.NDArray[np.int64]


def correctness(logits: Logits, targets: Targets) -> Floats:
    """1 where the class with the highest logit is the clip's, else 0; NaN where a logit is not finite."""
    right: Floats = (logits.argmax(axis=1) == targets).astype(np.float64)
    right[~np.isfinite(logits).all(axis=1)] = np.nan
    return right


def log_likelihood(logits: Logits, targets: Targets) -> Floats:
    """Log probability of the clip's class, in nats: the negative of the usual loss."""
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return np.asarray(log_probabilities[np.arange(len(targets)), targets])


def negative_brier(logits: Logits, targets: Targets) -> Floats:
    """Minus the squared distance of the probabilities from the truth, in [-2, 0] (Brier, Mon. Weather Rev. 1950)."""
    probabilities: Floats = np.exp(log_softmax(logits.astype(np.float64), axis=1))
    probabilities[np.arange(len(targets)), targets] -= 1
    distances: Floats = np.sum(probabilities**2, axis=1)
    return -distances


def pseudo_values(
    sources: npt.NDArray[np.str_], metric: Callable[[npt.NDArray[np.bool_]], float]
) -> tuple[npt.NDArray[np.str_], Floats]:
    """Scores for a metric that is no mean over clips (macro-F1, mAP): one jackknife pseudo-value per source.

    ``metric`` takes a mask of the run's clips to keep. Returns the run's distinct sources and, for each, n T - (n - 1)
    T(all but it) with n sources (Tukey 1958): use both in place of clips and their scores, one "clip" per source.
    """
    names = np.unique(sources)
    whole = metric(np.ones(len(sources), dtype=np.bool_))
    without = np.array([metric(sources != name) for name in names])
    return names, len(names) * whole - (len(names) - 1) * without
