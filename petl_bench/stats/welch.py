"""A test over seeds alone: the training procedures on exactly these clips."""

from __future__ import annotations

import numpy as np

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.describe import means_of_seeds
from petl_bench.stats.estimate import Estimate, estimate_from_variance, satterthwaite
from petl_bench.stats.scores import Scores, require_same_clips


def welch_over_seeds(first: Scores, second: Scores) -> Estimate | NotAvailable:
    """Welch's t-test of first - second on the means of complete seeds.

    It ignores the sampling of clips and rejects far too often as a test of anything but these clips. Not available
    unless both have two seeds that ran every fold. Raises UserError where clips differ.
    """
    require_same_clips((first, second))
    samples = [means_of_seeds(scores) for scores in (first, second)]
    if min(map(len, samples)) < 2:
        return NotAvailable("fewer than two seeds ran every fold")
    variances = [float(np.var(sample, ddof=1)) / len(sample) for sample in samples]
    return estimate_from_variance(
        float(samples[0].mean() - samples[1].mean()),
        sum(variances),
        satterthwaite(variances, [len(sample) - 1 for sample in samples]),
        "Welch t over seeds",
    )
