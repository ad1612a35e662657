"""Standard error of a contrast between configurations, over sources, runs and folds.

A contrast is a weighted sum of configurations' mean scores: (+1, -1) is a difference, (1,) one configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.estimate import Components, Estimate, estimate_from_variance, negligible
from petl_bench.stats.scores import Floats, Scores, fold_means, require_same_clips
from petl_bench.stats.trained_models import sign_flip
from petl_bench.wording import count

FEW_SOURCES = 40
LEAST_FOLDS = 3


def contrast(configurations: Sequence[Scores], weights: Sequence[float]) -> Estimate | NotAvailable:
    """The contrast with the standard error that its runs allow: see ``complete_contrast``.

    Not available where a configuration with a weight lacks a run on some fold. Raises UserError where clips differ,
    ValueError where ``weights`` are not one per configuration or all zero.
    """
    used = [scores for scores, _ in _weighted(configurations, weights)]
    folds = protocol_folds(used)
    for scores in used:
        if (lack := incompleteness(scores, folds)) is not None:
            return NotAvailable(f"{scores.name} is {lack}")
    return complete_contrast(configurations, weights)


def complete_contrast(configurations: Sequence[Scores], weights: Sequence[float]) -> Estimate:
    """The contrast of configurations that have a run on every fold.

    Two seeds or more: ``two_way``. One seed: ``fold_t``. One seed on a single split: source sign-flip, a p-value
    alone. Neither: the value alone. Raises as ``contrast`` does.
    """
    by_runs = two_way(configurations, weights)
    if isinstance(by_runs, Estimate):
        return by_runs
    by_folds = fold_t(configurations, weights)
    if isinstance(by_folds, Estimate):
        return replace(by_folds, notes=(by_runs.reason, *by_folds.notes))
    used = _weighted(configurations, weights)
    first, differences = used[0][0], _clip_contrast(used)
    value, notes = float(differences.mean()), (by_runs.reason, by_folds.reason)
    exchangeable = len(first.tested_folds) == 1 and _is_difference(used)
    if _identical(used, differences):
        same = estimate_from_variance(value, 0.0, 0, "source sign-flip" if exchangeable else "none", identical=True)
        return replace(same, notes=(*notes, *same.notes))
    if exchangeable:
        p_value = sign_flip(differences, first.source_codes)
        return Estimate(value, by_folds, by_folds, p_value, "source sign-flip", notes=notes)
    return Estimate(value, by_folds, by_folds, by_folds, "none", notes=notes)


def two_way(configurations: Sequence[Scores], weights: Sequence[float]) -> Estimate | NotAvailable:
    """The contrast with a standard error robust to clusters in two ways, sources and runs.

    Cameron, Gelbach & Miller (J. Bus. Econ. Stat. 2011): V = V_source + V_run - V_both, here with the last two joined
    as max(0, V_run - V_both). Degrees of freedom after Satterthwaite (Biometrics 1946). Not available where a
    configuration has one seed in every fold, or all clips one source.
    """
    used = _weighted(configurations, weights)
    first = used[0][0]
    if first.source_count < 2:
        return NotAvailable("all clips have one source")
    if one_seed := [scores.name for scores, _ in used if scores.seed_counts.max() < 2]:
        return NotAvailable(f"{', '.join(one_seed)}: one seed, seed variance not estimable; run 3 seeds or more")
    noises = [run_noise(scores) for scores, _ in used]
    squares = [weight**2 for _, weight in used]
    differences = _clip_contrast(used)
    components = Components(
        source=source_variance(differences, first.source_codes),
        run=sum(square * noise.run for square, noise in zip(squares, noises, strict=True)),
        both=sum(square * noise.both for square, noise in zip(squares, noises, strict=True)),
        run_of_one_seed=sum(square * noise.run_of_one_seed for square, noise in zip(squares, noises, strict=True)),
        source_degrees_of_freedom=first.source_count - 1,
        run_degrees_of_freedom=sum(noise.degrees_of_freedom for noise in noises),
    )
    notes = [noise.note for noise in noises if noise.note]
    if first.source_count < FEW_SOURCES:
        notes.append(f"{first.source_count} sources are few for a two-way standard error; see the fold test")
    return estimate_from_variance(
        float(differences.mean()),
        components.total,
        components.degrees_of_freedom,
        "two-way",
        identical=_identical(used, differences),
        components=components,
        notes=notes,
    )


def fold_t(configurations: Sequence[Scores], weights: Sequence[float]) -> Estimate | NotAvailable:
    """The contrast with folds as clusters, seeds averaged: the paired t-test on fold means where folds are equal.

    V = K / (K - 1) * sum_k (n_k / N)^2 (d_k - d)^2 with K - 1 degrees of freedom. Not available below 3 folds.
    """
    used = _weighted(configurations, weights)
    first = used[0][0]
    folds = len(first.tested_folds)
    if first.source_count < 2:
        return NotAvailable("all clips have one source")
    if folds < LEAST_FOLDS:
        return NotAvailable(f"{count(folds, 'fold')}: a fold test needs {LEAST_FOLDS}")
    differences = _clip_contrast(used)
    value = float(differences.mean())
    shares = first.fold_sizes / len(differences)
    deviations = shares * (fold_means(first, differences) - value)
    return estimate_from_variance(
        value,
        folds / (folds - 1) * float(deviations @ deviations),
        folds - 1,
        "fold t",
        identical=_identical(used, differences),
    )


def protocol_folds(configurations: Sequence[Scores]) -> tuple[int, ...]:
    """Folds that every one of the configurations should have run."""
    return tuple(sorted({fold for scores in configurations for fold in scores.protocol_folds}))


def incompleteness(scores: Scores, folds_due: Sequence[int]) -> str | None:
    """None where every fold has a run, else a remark like "incomplete (4/5 folds)"."""
    there = set(folds_due) & set(scores.tested_folds)
    return f"incomplete ({len(there)}/{len(folds_due)} folds)" if len(there) < len(folds_due) else None


def source_variance(differences: Floats, source_codes: npt.NDArray[np.int64]) -> float:
    """Variance of the mean of ``differences``, ``[clips]``, clustered by source.

    G / (G - 1) * sum_g (sum of (d_i - mean) over the clips of source g)^2 / N^2.
    """
    totals = np.bincount(source_codes, weights=differences - differences.mean())
    return len(totals) / (len(totals) - 1) * float(totals @ totals) / len(differences) ** 2


@dataclass(frozen=True)
class RunNoise:
    """One configuration's part of V_run and V_both, in squared score units."""

    run: float
    both: float
    run_of_one_seed: float
    """V_run as it would be with one seed per fold."""
    degrees_of_freedom: int
    note: str = ""


def run_noise(scores: Scores) -> RunNoise:
    """Variance of the mean over runs: sum_k (n_k/N)^2 s_k^2 / S_k, and its part that independent clips account for.

    s_k is the standard deviation over seeds (ddof 1) of the mean score on fold k. A fold with one seed takes both
    variances from the mean of the configuration's other folds; one fold at least must have two.
    """
    seeds, repeated = scores.seed_counts, scores.seed_counts > 1
    fold_variances = _variance_over_seeds(scores.run_means, seeds)
    clip_variances = fold_means(scores, _variance_over_seeds(scores.values, seeds[scores.fold_codes]))
    fold_variances[~repeated] = fold_variances[repeated].mean()
    clip_variances[~repeated] = clip_variances[repeated].mean()
    shares = scores.fold_sizes / len(scores.clip_ids)
    one_seed = shares**2 * fold_variances
    both = shares * clip_variances / (seeds * len(scores.clip_ids))
    single = [str(fold) for fold, known in zip(scores.tested_folds, repeated, strict=True) if not known]
    return RunNoise(
        float((one_seed / seeds).sum()),
        float(both.sum()),
        float(one_seed.sum()),
        int((seeds - 1).sum()),
        f"{scores.name}: one seed on fold {', '.join(single)}, its variance taken from other folds" if single else "",
    )


def _variance_over_seeds(values: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """Variance (ddof 1) over the first axis of ``[seeds, n]`` with NaN for runs there are not; 0 where one is there."""
    deviations = values - np.nansum(values, axis=0) / counts
    variances: Floats = np.nansum(deviations**2, axis=0) / np.maximum(counts - 1, 1)
    return variances


def _weighted(configurations: Sequence[Scores], weights: Sequence[float]) -> list[tuple[Scores, float]]:
    """Configurations that the contrast uses, with their weights."""
    used = [(scores, weight) for scores, weight in zip(configurations, weights, strict=True) if weight != 0]
    if not used:
        raise ValueError("a contrast needs a weight that is not zero")
    return used


def _clip_contrast(used: Sequence[tuple[Scores, float]]) -> Floats:
    """The contrast of every clip, seeds averaged, ``[clips]``."""
    require_same_clips([scores for scores, _ in used])
    total: Floats = np.sum([weight * scores.seed_means for scores, weight in used], axis=0)
    return total


def _identical(used: Sequence[tuple[Scores, float]], differences: Floats) -> bool:
    return _is_difference(used) and bool(negligible(differences).all())


def _is_difference(used: Sequence[tuple[Scores, float]]) -> bool:
    return bool(negligible(sum(weight for _, weight in used)))
