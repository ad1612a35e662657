"""One configuration in numbers: its score, the spread of folds and seeds. Spread is no uncertainty of the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.estimate import Interval
from petl_bench.stats.intervals import score_interval
from petl_bench.stats.scores import Floats, Scores, fold_means, require_same_clips

UNEQUAL_FOLDS_MATTER = 0.0005
"""Half of 0.1 percentage points."""


@dataclass(frozen=True)
class Description:
    """A configuration's row of a table, in the unit of the scores."""

    name: str
    score: Quantity
    """Mean over clips, seeds averaged."""
    interval: Interval | NotAvailable
    """95%."""
    mean_of_folds: Quantity
    """Folds count the same, whatever their size."""
    fold_sd: Quantity
    """Standard deviation of the seed-averaged fold means, ddof 1."""
    fold_sd_population: Quantity
    """The same with ddof 0, as numpy's default puts it into published tables."""
    seed_sd: Quantity
    """Standard deviation over seeds of the mean over clips, ddof 1."""

    @property
    def fold_sizes_matter(self) -> bool:
        """Whether mean of folds and mean of clips differ by more than 0.05 percentage points."""
        if isinstance(self.score, NotAvailable) or isinstance(self.mean_of_folds, NotAvailable):
            return False
        return abs(self.score - self.mean_of_folds) > UNEQUAL_FOLDS_MATTER


def describe(scores: Scores) -> Description:
    """The numbers of one configuration, over the runs there are."""
    if not len(scores.clip_ids):
        nothing = NotAvailable("no run")
        return Description(scores.name, nothing, score_interval(scores), nothing, nothing, nothing, nothing)
    folds = fold_means(scores, scores.seed_means)
    one_fold = NotAvailable("one fold") if len(folds) < 2 else None
    seeds = means_of_seeds(scores)
    return Description(
        scores.name,
        float(scores.seed_means.mean()),
        score_interval(scores),
        float(folds.mean()),
        one_fold or float(folds.std(ddof=1)),
        one_fold or float(folds.std(ddof=0)),
        float(seeds.std(ddof=1)) if len(seeds) > 1 else NotAvailable("fewer than two seeds ran every fold"),
    )


def means_of_seeds(scores: Scores) -> Floats:
    """Mean over all clips of every seed that ran all tested folds, ``[complete seeds]``."""
    complete: Floats = scores.values[scores.present.all(axis=1)]
    return np.asarray(complete.mean(axis=1))


def probability_of_superiority(first: Scores, second: Scores) -> float:
    """Share of same-fold pairs of runs in which ``first`` scores higher than ``second``; a tie counts half.

    Raises UserError where clips differ.
    """
    require_same_clips((first, second))
    wins, pairs = 0.0, 0
    for a, b in zip(first.run_means.T, second.run_means.T, strict=True):
        gaps = np.subtract.outer(a[~np.isnan(a)], b[~np.isnan(b)])
        wins += float((np.sign(gaps) + 1).sum()) / 2
        pairs += gaps.size
    return wins / pairs


@dataclass(frozen=True)
class ClipCounts:
    """Clips by who gets them right, averaged over all pairs of same-fold runs."""

    both_wrong: float
    only_first: float
    only_second: float


def clip_counts(first: Scores, second: Scores) -> ClipCounts | NotAvailable:
    """Where two configurations disagree. Not available unless every score is 0 or 1.

    Raises UserError where clips differ.
    """
    require_same_clips((first, second))
    if not (first.right_or_wrong and second.right_or_wrong):
        return NotAvailable("clips are counted where scores are right or wrong")
    a, b = first.seed_means, second.seed_means
    return ClipCounts(float((1 - a) @ (1 - b)), float(a @ (1 - b)), float((1 - a) @ b))
