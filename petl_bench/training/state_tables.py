"""Tables of what a frozen model makes of every clip, in the cache: made once, shared by all runs and processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from petl_bench.backbones.base import Backbone
from petl_bench.benchmarks.clip_table import ClipTable, Shape, made_once, open_table, writing_table
from petl_bench.benchmarks.features import features_path
from petl_bench.canonical import digest
from petl_bench.errors import UserError
from petl_bench.locations import cache_folder
from petl_bench.runspec import RunSpec
from petl_bench.training.inputs import Inputs, precision_of
from petl_bench.training.memory import is_out_of_memory

CLIPS_AT_ONCE = 32
NUMERICS_VERSION = 2
SHARE_OF_DISK = 0.25
"""Of what is free where the cache is, that all tables may take together."""

Compute = Callable[[Tensor], Tensor]
"""Features ``[batch, frames, bins]`` to states ``[batch, ...]``."""


def state_table(
    compute: Compute, what: Sequence[Any], spec: RunSpec, backbone: Backbone, inputs: Inputs, workers: int = 1
) -> ClipTable | None:
    """The states of every clip; None where the cache has no room for them, which is tried once in a process.

    ``what`` says what ``compute`` does, beside what the run says; the weights it uses are the checkpoint's. Made where
    they are not in the cache, with the threads of all ``workers``, no more than torch's own: mostly the others wait for
    the same table.
    """
    path = _path(what, spec, inputs)
    known = inputs.tables.get(path)
    if path not in inputs.tables or (known is not None and not path.exists()):  # not seen yet, or removed by another
        with _threads_of(workers):
            inputs.tables[path] = _table(path, compute, spec, backbone, inputs)
    if inputs.tables[path] is not None:
        with suppress(OSError):
            path.touch()  # used last
    return inputs.tables[path]


@contextmanager
def _threads_of(workers: int) -> Iterator[None]:
    own = torch.get_num_threads()
    torch.set_num_threads(own * workers)
    try:
        yield
    finally:
        torch.set_num_threads(own)


def _table(path: Path, compute: Compute, spec: RunSpec, backbone: Backbone, inputs: Inputs) -> ClipTable | None:
    """The table in a file, made where it is not there; None where there is no room for it."""
    with torch.inference_mode(), precision_of(spec, inputs.device):
        sample = compute(inputs.features(np.zeros(1, dtype=np.int64)))
    shape = (len(inputs.table), *sample.shape[1:])
    try:
        if open_table(path, shape) is None and not _make_room(path, 4 * int(np.prod(shape))):
            return None
        return made_once(
            path, lambda: open_table(path, shape), lambda: _make(path, shape, compute, spec, backbone, inputs)
        )
    except (OSError, UserError):
        return None  # a cache that cannot be written to costs time, not the run
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            return None
        raise


@torch.inference_mode()
def _make(path: Path, shape: Shape, compute: Compute, spec: RunSpec, backbone: Backbone, inputs: Inputs) -> None:
    backbone.eval()
    with writing_table(path, shape) as writer, precision_of(spec, inputs.device):
        for start in range(0, shape[0], CLIPS_AT_ONCE):
            clips = np.arange(start, min(start + CLIPS_AT_ONCE, shape[0]))
            writer.add(compute(inputs.features(clips)).float().cpu().numpy())


def _path(what: Sequence[Any], spec: RunSpec, inputs: Inputs) -> Path:
    """By all that the states depend on: clips, features, weights, what is computed, precision, kind of device."""
    key = digest(
        [
            NUMERICS_VERSION,
            features_path(inputs.dataset, spec.data.features).stem,
            [inputs.mean, inputs.scale],
            spec.backbone,
            spec.switches.position_embeddings,
            what,
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
