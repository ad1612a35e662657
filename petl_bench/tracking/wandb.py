"""Weights & Biases: offline unless WANDB_MODE says otherwise; ``wandb sync`` uploads what was written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from petl_bench.plan import PlannedRun
from petl_bench.records import RunRecord
from petl_bench.tracking.base import Tracker, summary


class WeightsAndBiases(Tracker):
    """One W&B run per run, its id the run key; project ``petl-bench`` unless WANDB_PROJECT says otherwise."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            import wandb
        except ImportError as error:
            raise RuntimeError(f"pip install 'petl-bench[wandb]': {error}") from error
        self._wandb: Any = wandb
        self._runs: dict[str, Any] = {}

    def run_started(self, run: PlannedRun) -> None:
        for before in (self.folder / "wandb").glob(f"offline-run-*-{run.key}"):
            shutil.rmtree(before, ignore_errors=True)
        settings = self._wandb.Settings(
            console="off", silent=True, symlink=False, disable_git=True, disable_code=True, x_disable_stats=True
        )
        self._runs[run.key] = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "petl-bench"),
            mode=os.environ.get("WANDB_MODE", "offline"),
            dir=str(self.folder),
            id=run.key,
            name=run.title,
            group=run.spec.config_key(),
            tags=[run.method, run.benchmark, run.backbone],
            config=run.spec.model_dump(mode="json"),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        self._runs[run.key].log(log, step=epoch)

    def run_ended(self, run: PlannedRun, record: RunRecord | None, reason: str) -> None:
        its = self._runs.pop(run.key)
        if record is None:
            its.summary["ended"] = reason
        else:
            its.summary.update(summary(record))
        its.finish(exit_code=int(record is None))
