"""Expected best validation score of a search as a function of its number of trials.

Valid for random search alone, where trials are independent; never beyond the trials there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petl_bench.stats.scores import Floats


def expected_best(scores: Sequence[float]) -> Floats:
    """Expected maximum of n of the B trials drawn without replacement, n = 1..B, ``[trials]``. Unbiased.

    sum_i v_(i) [C(i, n) - C(i - 1, n)] / C(B, n) over ascending scores (Tang et al., arXiv 2004.13705). Raises
    ValueError unless all scores are finite: leave failed trials out and say how many there were.
    """
    ascending = _ascending(scores)
    trials = len(ascending)
    below = np.ones(trials + 1)  # C(i, n) / C(B, n) for i = 0..B, from n - 1 to n by one factor
    curve = []
    for drawn in range(trials):
        below *= np.maximum(np.arange(trials + 1) - drawn, 0) / (trials - drawn)
        curve.append(float(ascending @ np.diff(below)))
    return np.array(curve)


def expected_best_with_replacement(scores: Sequence[float]) -> Floats:
    """The same with replacement, n = 1..B, ``[trials]``: biased low, less variable.

    sum_i v_(i) [(i / B)^n - ((i - 1) / B)^n] (Dodge et al., EMNLP 2019). Raises ValueError unless all are finite.
    """
    ascending = _ascending(scores)
    trials = len(ascending)
    share = np.arange(trials + 1) / trials
    return np.diff(share[None, :] ** np.arange(1, trials + 1)[:, None], axis=1) @ ascending


def _ascending(scores: Sequence[float]) -> Floats:
    values = np.sort(np.asarray(scores, dtype=np.float64))
    if not len(values) or not np.isfinite(values).all():
        raise ValueError("expected validation performance needs finite scores of one trial or more")
    return values
