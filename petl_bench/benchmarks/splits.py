"""Training, validation and test clips of a fold.

What is drawn comes from the card's ``split_seed``; only a few-shot protocol's training clips from a run's seed too.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from petl_bench.benchmarks.dataset import Dataset
from petl_bench.cards import Protocol
from petl_bench.errors import UserError
from petl_bench.seeds import derive_seed

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Clip indices of the three parts, ascending and disjoint."""

    train: Indices
    validation: Indices
    test: Indices


def split(dataset: Dataset, protocol: Protocol, fold: int, seed: int = 0) -> Split:
    """The split whose test part is ``fold`` (from 1), by the protocol's validation rule.

    ``seed`` is the run's; it matters to few-shot protocols alone.

    ``previous_fold`` on five folds is the rotation of the released code of arXiv 2312.03694: test 5 goes with
    validation 4 and training 1, 2, 3; test 1 with validation 5 and training 2, 3, 4.
    """
    if protocol.validation == "official":
        parts = np.array([clip.part for clip in dataset.clips])
        result = Split(*(np.flatnonzero(parts == part) for part in ("train", "validation", "test")))
    else:
        folds = np.array([clip.fold for clip in dataset.clips])
        test = np.flatnonzero(folds == fold)
        rest = np.flatnonzero(folds != fold)
        if protocol.validation == "previous_fold":
            previous = (fold - 2) % protocol.folds + 1
            validation = np.flatnonzero(folds == previous)
        else:
            validation = _held_out(dataset, rest, protocol, fold)
        result = Split(np.setdiff1d(rest, validation), validation, test)
    if protocol.shots is not None:
        result = replace(result, train=_few(dataset, result.train, protocol, fold, seed))
    for part, indices in vars(result).items():
        if len(indices) == 0:
            raise UserError(f"{dataset.name}: fold {fold} has no {part} clips{_remedy(protocol, part)}")
    return result


def _few(dataset: Dataset, train: Indices, protocol: Protocol, fold: int, seed: int) -> Indices:
    """``protocol.shots`` training clips of every class, drawn by clip id, so that more shots are these and others."""
    chosen: list[Indices] = []
    for target, name in enumerate(dataset.class_names):
        its = train[dataset.targets[train] == target]
        if len(its) < (protocol.shots or 0):
            raise UserError(
                f"{dataset.name}: protocol.shots = {protocol.shots}, but fold {fold} has {len(its)} training clips of "
                f"class '{name}'"
            )
        parts = ("shots", protocol.split_seed, seed, fold)
        order = sorted(its, key=lambda index: derive_seed(*parts, dataset.clips[index].id))
        chosen.append(np.array(order[: protocol.shots]))
    return np.sort(np.concatenate(chosen))


def _held_out(dataset: Dataset, candidates: Indices, protocol: Protocol, fold: int) -> Indices:
    """About the share ``protocol.held_out`` of the candidates, stratified by class, groups kept whole."""
    from sklearn.model_selection import StratifiedGroupKFold

    parts = max(2, round(1 / protocol.held_out))
    seed = derive_seed("held_out", protocol.split_seed, fold) % 2**32
    splitter = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    targets = dataset.targets[candidates]
    if np.bincount(targets, minlength=1).max() < parts:
        raise UserError(
            f"{dataset.name}: fold {fold}: cannot hold out 1 part in {parts} for validation, no class has so many "
            "clips in the other folds; set protocol.held_out to 0.2 or more, or protocol.validation = 'previous_fold'"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # split_checks says it per fold
        _, chosen = next(splitter.split(candidates, targets, dataset.groups[candidates]))
    return np.sort(candidates[chosen])


def _remedy(protocol: Protocol, part: str) -> str:
    return f"; its table needs rows with split = {part}" if protocol.validation == "official" else ""
