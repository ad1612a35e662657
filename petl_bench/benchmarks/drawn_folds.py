"""Folds for clips that have none: stratified by label, groups kept whole, drawn from the protocol's seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from petl_bench.cards import Protocol
from petl_bench.errors import UserError
from petl_bench.seeds import derive_seed

if TYPE_CHECKING:
    from petl_bench.benchmarks.dataset import Clip


def draw_folds(name: str, clips: Sequence[Clip], protocol: Protocol) -> list[Clip]:
    """The clips in their order, each with a fold from 1 to ``protocol.folds``; the draw does not depend on the order.

    Raises UserError where there are fewer clips of a class, or fewer groups, than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    ordered = sorted(clips, key=lambda clip: clip.id)
    labels, groups = [clip.label for clip in ordered], [clip.group for clip in ordered]
    if (number := len(set(groups))) < protocol.folds:
        raise UserError(f"{name}: {number} groups cannot be parted into {protocol.folds} folds; lower protocol.folds")
    seed = derive_seed("folds", protocol.split_seed) % 2**32
    splitter = StratifiedGroupKFold(n_splits=protocol.folds, shuffle=True, random_state=seed)
    fold_of: dict[str, int] = {}
    try:
        for fold, (_, tested) in enumerate(splitter.split(ordered, labels, groups), start=1):
            fold_of |= {ordered[index].id: fold for index in tested}
    except ValueError as error:
        raise UserError(f"{name}: cannot draw {protocol.folds} folds: {error}") from error
    return [replace(clip, fold=fold_of[clip.id]) for clip in clips]
