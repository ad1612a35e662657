"""Runs whose adapters were saved and exported, and the clips that they were tested on, as files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from petl_bench.adapters.export import export_run
from petl_bench.execution import Execution
from petl_bench.records import FinishedRun
from petl_bench.results import ResultsTree
from petl_bench.training.run import train_run
from petl_bench.workbench import Workbench
from tests.studies import TINY, plan_of

SAVING = Execution(executor="in_process", save_adapters=True)


@dataclass(frozen=True)
class Case:
    """Changes to a tiny request. ``exact``: whether logits must be equal to 1e-5."""

    changes: dict[str, Any]
    exact: bool = True


def trained(**changes: Any) -> tuple[FinishedRun, Workbench]:
    """The first run of a tiny request with ``changes``, its adapter saved."""
    plan, workbench = plan_of(replace(TINY, limit=1, **changes))
    return train_run(plan[0], workbench, execution=SAVING), workbench


def filed(tree: ResultsTree, run: FinishedRun) -> Path:
    """Folder of the run in a tree."""
    tree.prepare()
    assert tree.write(run)
    return tree.folder_of(run.record)


def exported(tree: ResultsTree, to: Path, **changes: Any) -> FinishedRun:
    """A run that was trained, filed and exported."""
    run, _ = trained(**changes)
    assert export_run(filed(tree, run), to) == []
    return run


def write_clips(workbench: Workbench, ids: list[str], folder: Path) -> list[Path]:
    """Clips as WAV files of floats, which hold them as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    by_id = {clip.id: clip for clip in workbench.dataset.clips}
    paths = []
    for name in ids:
        samples, rate = workbench.dataset.layout.read(by_id[name])
        paths.append(folder / f"{name}.wav")
        soundfile.write(paths[-1], np.asarray(samples).T, rate, subtype="FLOAT")
    return paths
