"""What is compared: one score per test clip and run, gathered over the folds and seeds of a configuration.

Scores count upwards: a higher score is a better one. See ``outcomes`` for scores from logits and targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from petl_bench.errors import UserError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

LISTED_CLIPS = 10
OWN_SOURCES = "every clip counts as a source of its own"


@dataclass(frozen=True)
class RunScores:
    """The test clips of one run, each with its score. ``clip_ids``, ``sources`` and ``values`` are ``[clips]``.

    Clips cut from one recording share a source; None, or an empty name, makes a clip a source of its own.
    ``test_train_ratio`` is the run's number of test clips over its number of training clips.
    """

    fold: int
    seed: int
    clip_ids: Names
    values: Floats
    sources: Names | None = None
    test_train_ratio: float | None = None


@dataclass(frozen=True)
class Scores:
    """All runs of one configuration: every clip once, scored by each seed of the fold that tests it.

    ``clip_ids``, ``sources`` and ``folds`` are ``[clips]``; ``values`` is ``[seeds, clips]``, NaN where a fold was not
    run under a seed. ``protocol_folds`` are the folds there should be, ``excluded_runs`` the (fold, seed) of runs left
    out because a score is not finite. ``test_train_ratio`` is the mean over folds, None where no run says.
    """

    name: str
    clip_ids: Names
    sources: Names
    folds: Integers
    seeds: tuple[int, ...]
    values: Floats
    protocol_folds: tuple[int, ...]
    excluded_runs: tuple[tuple[int, int], ...] = ()
    test_train_ratio: float | None = None

    @cached_property
    def tested_folds(self) -> tuple[int, ...]:
        """Folds with at least one run, ascending; the order of every array over folds."""
        return tuple(map(int, np.unique(self.folds)))

    @cached_property
    def fold_codes(self) -> Integers:
        """Position of every clip's fold among ``tested_folds``."""
        return np.searchsorted(self.tested_folds, self.folds)

    @cached_property
    def fold_sizes(self) -> Integers:
        """Clips per tested fold."""
        return np.bincount(self.fold_codes, minlength=len(self.tested_folds))

    @cached_property
    def source_codes(self) -> Integers:
        """Every clip's source as a number from 0."""
        return np.unique(self.sources, return_inverse=True)[1]

    @cached_property
    def source_count(self) -> int:
        return int(self.source_codes.max(initial=-1)) + 1

    @cached_property
    def present(self) -> npt.NDArray[np.bool_]:
        """Whether a seed ran a fold, ``[seeds, tested folds]``."""
        first_clip = np.unique(self.fold_codes, return_index=True)[1]
        return ~np.isnan(self.values[:, first_clip])

    @cached_property
    def seed_counts(self) -> Integers:
        """Runs per tested fold."""
        counts: Integers = np.sum(self.present, axis=0)
        return counts

    @cached_property
    def seed_means(self) -> Floats:
        """Every clip's mean over its seeds, ``[clips]``."""
        means: Floats = np.nansum(self.values, axis=0) / self.seed_counts[self.fold_codes]
        return means

    @cached_property
    def run_means(self) -> Floats:
        """Mean score of every run, ``[seeds, tested folds]``, NaN where there is none."""
        return np.array([fold_means(self, row) for row in self.values]).reshape(self.present.shape)

    @property
    def right_or_wrong(self) -> bool:
        """Whether every score is 0 or 1."""
        return bool(np.isin(self.values[~np.isnan(self.values)], (0.0, 1.0)).all())

    def notes(self) -> list[str]:
        """What a reader must know about the clips and runs, one line each."""
        notes = []
        if self.source_count == len(self.clip_ids):
            notes.append(OWN_SOURCES)
        if len(np.unique(self.source_codes * len(self.tested_folds) + self.fold_codes)) > self.source_count:
            notes.append("some sources have clips in more than one fold; they are clustered by source all the same")
        if self.excluded_runs:
            runs = ", ".join(f"fold {fold} seed {seed}" for fold, seed in self.excluded_runs)
            notes.append(
                f"{self.name}: runs left out because a score is not finite: {len(self.excluded_runs)} ({runs})"
            )
        return notes


def fold_means(scores: Scores, values: Floats) -> Floats:
    """Mean over the clips of every tested fold, ``[tested folds]``, of one value per clip, ``[clips]``."""
    return np.bincount(scores.fold_codes, weights=values, minlength=len(scores.tested_folds)) / scores.fold_sizes


def collect(name: str, runs: Iterable[RunScores], protocol_folds: Sequence[int] = ()) -> Scores:
    """Gather the runs of the configuration ``name``.

    ``protocol_folds`` are the folds there should be; those of ``runs`` are added. Raises UserError where runs of a fold
    differ in their clips or sources, or a clip is tested more than once; ValueError where two runs share fold and seed,
    or there is neither a run nor a fold.
    """
    by_run: dict[tuple[int, int], RunScores] = {}
    for run in runs:
        if (run.fold, run.seed) in by_run:
            raise ValueError(f"{name}: two runs of fold {run.fold} and seed {run.seed}")
        by_run[run.fold, run.seed] = run
    folds_due = tuple(sorted({*protocol_folds, *(fold for fold, _ in by_run)}))
    if not folds_due:
        raise ValueError(f"{name}: no run, and no fold that should have one")
    usable = {key: run for key, run in sorted(by_run.items()) if np.isfinite(run.values).all()}
    seeds = tuple(sorted({seed for _, seed in usable}))
    tested = sorted({fold for fold, _ in usable})
    blocks = [_one_fold(name, [run for key, run in usable.items() if key[0] == fold], seeds) for fold in tested]
    blocks = blocks or [_no_runs(name)]
    clip_ids = np.concatenate([block.clip_ids for block in blocks])
    names, counts = np.unique(clip_ids, return_counts=True)
    if (counts > 1).any():
        raise UserError(f"{name}: {_listed(names[counts > 1])} tested twice; a clip belongs to one test fold")
    return Scores(
        name,
        clip_ids,
        np.concatenate([block.sources for block in blocks]),
        np.concatenate([block.folds for block in blocks]),
        seeds,
        np.concatenate([block.values for block in blocks], axis=1),
        folds_due,
        tuple(sorted(set(by_run) - set(usable))),
        _mean_ratio(block.test_train_ratio for block in blocks),
    )


def require_same_clips(configurations: Sequence[Scores]) -> None:
    """Raise UserError, clips listed, unless all were tested on the same clips with the same folds and sources."""
    first = configurations[0]
    for other in configurations[1:]:
        if not np.array_equal(first.clip_ids, other.clip_ids):
            only_first = _listed(np.setdiff1d(first.clip_ids, other.clip_ids))
            only_other = _listed(np.setdiff1d(other.clip_ids, first.clip_ids))
            raise UserError(
                f"{first.name} and {other.name} were tested on different clips (only {first.name}: {only_first}; "
                f"only {other.name}: {only_other}); compare runs on the same clips"
            )
        for what in ("folds", "sources"):
            differs = getattr(first, what) != getattr(other, what)
            if differs.any():
                clips = _listed(first.clip_ids[differs])
                raise UserError(f"{first.name} and {other.name} differ in the {what} of clips {clips}")


def _one_fold(name: str, runs: Sequence[RunScores], seeds: tuple[int, ...]) -> Scores:
    """The runs of one fold as rows of ``seeds``, clips in the order of their ids."""
    parts = [_one_run(name, run) for run in runs]
    require_same_clips(parts)
    values = np.full((len(seeds), len(parts[0].clip_ids)), np.nan)
    for part in parts:
        values[seeds.index(part.seeds[0])] = part.values[0]
    ratio = _mean_ratio(part.test_train_ratio for part in parts)
    return replace(parts[0], seeds=seeds, values=values, test_train_ratio=ratio)


def _one_run(name: str, run: RunScores) -> Scores:
    order = np.argsort(run.clip_ids, kind="stable")
    return Scores(
        f"{name} fold {run.fold} seed {run.seed}",
        run.clip_ids[order],
        _sources(run)[order],
        np.full(len(order), run.fold),
        (run.seed,),
        np.asarray(run.values, dtype=np.float64)[None, order],
        (run.fold,),
        test_train_ratio=run.test_train_ratio,
    )


def _no_runs(name: str) -> Scores:
    nothing = np.array([], dtype=np.str_)
    return Scores(name, nothing, nothing, np.array([], dtype=np.int64), (), np.empty((0, 0)), ())


def _mean_ratio(ratios: Iterable[float | None]) -> float | None:
    known = [ratio for ratio in ratios if ratio is not None]
    return sum(known) / len(known) if known else None


def _sources(run: RunScores) -> Names:
    own = np.char.add("clip ", run.clip_ids)
    return own if run.sources is None else np.where(run.sources == "", own, run.sources)


def _listed(names: Names) -> str:
    shown = ", ".join(map(str, names[:LISTED_CLIPS])) or "none"
    return shown if len(names) <= LISTED_CLIPS else f"{shown} and {len(names) - LISTED_CLIPS} more"
