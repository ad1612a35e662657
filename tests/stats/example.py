"""Twenty clips, fifteen sources, five folds, three configurations and two seeds: small enough to do by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.estimate import Interval
from petl_bench.stats.scores import RunScores, Scores, collect

CLIPS = 20
FOLDS = np.repeat(np.arange(5), 4)
UNEQUAL_FOLDS = np.repeat(np.arange(5), [6, 4, 4, 3, 3])
SOURCES = np.array([0, 0, 1, 2, 3, 4, 4, 5, 6, 6, 7, 8, 9, 10, 11, 11, 12, 13, 14, 14]).astype(str)
RIGHT = {
    "A": ("1111 1101 1111 1110 1111", "1111 1111 1111 1110 1111"),
    "B": ("1101 1101 1011 0110 1101", "0100 1001 1011 0110 1001"),
    "C": ("1111 1100 1111 1110 1101", "1111 1101 1010 1110 1111"),
}

Missing = Sequence[tuple[int, int]]


def scores_of(
    values: npt.ArrayLike,
    folds: npt.ArrayLike,
    sources: npt.ArrayLike | None = None,
    *,
    name: str = "method",
    missing: Missing = (),
    test_train_ratio: float | None = 0.25,
) -> Scores:
    """Gather ``[seeds, clips]`` values of clips in ``folds``, without the runs (fold, seed) that are ``missing``."""
    values, folds = np.atleast_2d(np.asarray(values, dtype=float)), np.asarray(folds)
    ids = np.array([f"clip-{number:05d}" for number in range(len(folds))])
    runs = [
        RunScores(
            int(fold),
            seed,
            ids[folds == fold],
            row[folds == fold],
            None if sources is None else np.asarray(sources)[folds == fold].astype(str),
            test_train_ratio,
        )
        for seed, row in enumerate(values)
        for fold in np.unique(folds)
        if (fold, seed) not in missing
    ]
    return collect(name, runs, [int(fold) for fold in np.unique(folds)])


def example(
    name: str, seeds: Sequence[int] = (0, 1), folds: npt.NDArray[np.int64] = FOLDS, missing: Missing = ()
) -> Scores:
    """One of the three configurations."""
    rows = [[int(digit) for digit in RIGHT[name][seed].replace(" ", "")] for seed in seeds]
    return scores_of(rows, folds, SOURCES, name=name, missing=missing)


def fold_table(names: str, seeds: Sequence[int] = (0, 1)) -> Mapping[str, npt.NDArray[np.float64]]:
    """Seed-averaged fold means of configurations, computed without the package."""
    table = {}
    for name in names:
        rows = np.array([[int(digit) for digit in RIGHT[name][seed].replace(" ", "")] for seed in seeds])
        table[name] = rows.mean(axis=0).reshape(5, 4).mean(axis=1)
    return table


def prints(value: object, digits: str) -> bool:
    """Whether ``value`` rounds to ``digits``, decimal for decimal."""
    assert isinstance(value, (int, float)), value
    decimals = len(digits.partition(".")[2])
    return f"{value:.{decimals}f}" == f"{float(digits):.{decimals}f}"


def bounds(interval: Interval | NotAvailable) -> tuple[float, float]:
    """Both ends of an interval that must be there."""
    assert isinstance(interval, Interval)
    return interval.low, interval.high
