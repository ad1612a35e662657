"""Frozen states: what untouched layers make of every clip, computed once and shared by all runs and processes.

Layers below the first one that a method touches give the same hidden states in every epoch. Where a whole backbone is
untouched, as by the linear probe, the mean of the normalised final tokens is all that training needs. Equal to running
the whole model, up to rounding: the clips of a batch are others.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.untouched import logits_of_pooled, plain_final_norm, pooled_states
from petl_bench.benchmarks.clip_table import ClipTable, Shape, made_once, open_table, writing_table
from petl_bench.benchmarks.features import features_path
from petl_bench.canonical import digest
from petl_bench.errors import UserError
from petl_bench.locations import cache_folder
from petl_bench.runspec import RunSpec
from petl_bench.training.inputs import Inputs, precision_of
from petl_bench.training.memory import is_out_of_memory

CLIPS_AT_ONCE = 32
NUMERICS_VERSION = 1
SHARE_OF_DISK = 0.25
"""Of what is free where the cache is, that all tables of hidden states may take together."""


@dataclass(frozen=True)
class FrozenStates:
    """States behind the first ``layers`` layers; with a ``norm``, the whole model's up to that norm's affine part."""

    table: ClipTable
    layers: int
    norm: nn.LayerNorm | None

    def logits(self, backbone: Backbone, states: Tensor) -> Tensor:
        """What the rest of the model makes of a batch of the table's rows, ``[batch, classes]``."""
        if self.norm is not None:
            return logits_of_pooled(backbone, states, self.norm)
        return backbone.classify(backbone.pool(backbone.from_hidden(states, self.layers)))


def frozen_states(
    spec: RunSpec, backbone: Backbone, layers: int, inputs: Inputs, workers: int = 1
) -> FrozenStates | None:
    """The states behind so many untouched layers; None where there are none, or no room for them.

    Made where they are not in the cache, with the threads of all ``workers``: the others wait for the same table.
    """
    if layers == 0:
        return None
    norm = plain_final_norm(backbone) if layers == backbone.geometry.layers else None
    path = _path(spec, backbone, layers, norm is not None, inputs)
    if path not in inputs.tables or not path.exists():  # made in another process, or removed by one
        inputs.tables.pop(path, None)
        with _threads_of(workers):
            table = _table(path, spec, backbone, layers, norm, inputs)
        if table is None:
            return None
        inputs.tables[path] = table
    with suppress(OSError):
        path.touch()  # used last
    return FrozenStates(inputs.tables[path], layers, norm)


def _table(
    path: Path, spec: RunSpec, backbone: Backbone, layers: int, norm: nn.LayerNorm | None, inputs: Inputs
) -> ClipTable | None:
    """The table in a file, made where it is not there; None where there is no room for it."""
    with torch.inference_mode(), precision_of(spec, inputs.device):
        sample = _states(backbone, inputs.features(np.zeros(1, dtype=np.int64)), layers, norm)
    shape = (len(inputs.table), *sample.shape[1:])
    try:
        if open_table(path, shape) is None and not _make_room(path, 4 * int(np.prod(shape))):
            return None
        return made_once(
            path, lambda: open_table(path, shape), lambda: _make(path, shape, spec, backbone, layers, norm, inputs)
        )
    except (OSError, UserError):
        return None  # a cache that cannot be written to costs time, not the run
    except RuntimeError as error:
        if is_out_of_memory(error):
            return None
        raise


@contextmanager
def _threads_of(workers: int) -> Iterator[None]:
    own = torch.get_num_threads()
    torch.set_num_threads(own * workers)
    try:
        yield
    finally:
        torch.set_num_threads(own)


def _states(backbone: Backbone, features: Tensor, layers: int, norm: nn.LayerNorm | None) -> Tensor:
    hidden = backbone.hidden(features, layers)
    return (hidden if norm is None else pooled_states(backbone, hidden, norm)).float()


@torch.inference_mode()
def _make(
    path: Path,
    shape: Shape,
    spec: RunSpec,
    backbone: Backbone,
    layers: int,
    norm: nn.LayerNorm | None,
    inputs: Inputs,
) -> None:
    backbone.eval()
    with writing_table(path, shape) as writer, precision_of(spec, inputs.device):
        for start in range(0, shape[0], CLIPS_AT_ONCE):
            clips = np.arange(start, min(start + CLIPS_AT_ONCE, shape[0]))
            writer.add(_states(backbone, inputs.features(clips), layers, norm).cpu().numpy())


def _path(spec: RunSpec, backbone: Backbone, layers: int, pooled: bool, inputs: Inputs) -> Path:
    """By all that the states depend on: clips, features, weights, depth, pooled tokens, precision, kind of device."""
    key = digest(
        [
            NUMERICS_VERSION,
            features_path(inputs.dataset, spec.data.features).stem,
            [inputs.mean, inputs.scale],
            spec.backbone,
            spec.switches.position_embeddings,
            layers,
            backbone.pooled if pooled else "hidden",
            pooled,
            spec.training.precision,
            inputs.device.type,
        ]
    )
    return cache_folder() / "states" / f"{key}.npy"


def _make_room(path: Path, size: int) -> bool:
    """Remove the tables that were used longest ago where all would take too much; False where there is no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = sorted(path.parent.glob("*.npy"), key=lambda other: other.stat().st_mtime)
    taken = sum(other.stat().st_size for other in kept)
    room = SHARE_OF_DISK * (shutil.disk_usage(path.parent).free + taken)
    if size > room:
        return False
    for other in kept:
        if taken + size <= room:
            break
        taken -= other.stat().st_size
        other.unlink(missing_ok=True)
    return True
