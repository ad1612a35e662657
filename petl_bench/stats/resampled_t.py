"""The corrected resampled t-test: wider than the fold test because training sets overlap.

Nothing computed from one fixed partition sees that a method happens to suit the partition's training sets; this test,
conservative where that does not happen, is the guard there is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.estimate import Estimate, estimate_from_variance
from petl_bench.stats.scores import Scores, fold_means, require_same_clips


def corrected_resampled_t(differences: Sequence[float], test_train_ratio: float) -> Estimate | NotAvailable:
    """Mean of the K fold ``differences`` with variance (1/K + n_test/n_train) s^2, K - 1 degrees of freedom.

    Nadeau & Bengio (Machine Learning 52, 2003). With several seeds average them within the fold first: runs of one
    fold share their clips and are no folds of their own. Not available below 2 folds.
    """
    folds = len(differences)
    if folds < 2:
        return NotAvailable(f"{folds} fold: the corrected resampled t-test needs 2")
    values = np.asarray(differences, dtype=np.float64)
    variance = (1 / folds + test_train_ratio) * float(values.var(ddof=1))
    return estimate_from_variance(float(values.mean()), variance, folds - 1, "corrected resampled t")


def conservative_test(first: Scores, second: Scores) -> Estimate | NotAvailable:
    """``corrected_resampled_t`` of first - second on seed-averaged fold means, at the runs' own test/train ratio.

    The larger ratio where the two differ. Not available where no run says its ratio. Raises UserError where clips
    differ.
    """
    require_same_clips((first, second))
    if first.test_train_ratio is None or second.test_train_ratio is None:
        return NotAvailable("the number of training clips is not known")
    differences = fold_means(first, first.seed_means - second.seed_means)
    return corrected_resampled_t(differences.tolist(), max(first.test_train_ratio, second.test_train_ratio))
