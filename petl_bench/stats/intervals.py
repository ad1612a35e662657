"""Confidence interval of one configuration's score."""

from __future__ import annotations

import math

from scipy.special import expit, logit, ndtri

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.engine import contrast
from petl_bench.stats.estimate import Interval
from petl_bench.stats.scores import Scores

NEAR_CEILING = 0.97


def score_interval(scores: Scores, level: float = 0.95) -> Interval | NotAvailable:
    """Interval of the mean score from ``contrast``: over runs and sources with two seeds, over folds with one.

    An accuracy is cut to [0, 1]; from 0.97 on the interval is made on the logit scale, where SE / (p (1 - p)) is the
    standard error; without a standard error (every clip right, or one seed and fewer than 3 folds) it is Wilson's, for
    independent clips. Not available where a fold has no run.
    """
    estimate = contrast((scores,), (1.0,))
    if isinstance(estimate, NotAvailable):
        return estimate
    plain = estimate.interval(level)
    if not scores.right_or_wrong:
        return plain
    if isinstance(plain, NotAvailable):
        return wilson(estimate.value * len(scores.clip_ids), len(scores.clip_ids), level)
    if estimate.value < NEAR_CEILING:
        return Interval(max(0.0, plain.low), min(1.0, plain.high))
    stretch = estimate.value * (1 - estimate.value)
    low, high = (logit(estimate.value) + (bound - estimate.value) / stretch for bound in (plain.low, plain.high))
    return Interval(float(expit(low)), float(expit(high)), "logit")


def wilson(successes: float, clips: int, level: float = 0.95) -> Interval:
    """Interval of a proportion of independent clips (Wilson, JASA 1927). ``successes`` may be a mean over seeds."""
    share, z = successes / clips, float(ndtri((1 + level) / 2))
    centre = share + z**2 / (2 * clips)
    half = z * math.sqrt(share * (1 - share) / clips + z**2 / (4 * clips**2))
    scale = 1 + z**2 / clips
    return Interval(max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale), "Wilson")
