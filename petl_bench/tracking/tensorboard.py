"""TensorBoard: an event file per run, for ``tensorboard --logdir results/trackers/tensorboard``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from petl_bench.canonical import flat
from petl_bench.plan import PlannedRun
from petl_bench.records import RunRecord
from petl_bench.tracking.base import Tracker, summary

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Tracker):
    """Scalars per epoch; at the end the final ones, and settings and test metrics for the page of hyperparameters."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise RuntimeError(f"pip install 'petl-bench[tensorboard]': {error}") from error
        self._new = SummaryWriter
        self._writers: dict[str, SummaryWriter] = {}

    def run_started(self, run: PlannedRun) -> None:
        place = self.folder / run.benchmark / run.backbone.replace("/", "--") / f"{run.method}-{run.key}"
        shutil.rmtree(place, ignore_errors=True)
        writer = self._new(str(place))
        writer.add_text("run", run.title)
        writer.add_text("spec", f"```json\n{run.spec.model_dump_json(indent=2)}\n```")
        self._writers[run.key] = writer

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        writer = self._writers[run.key]
        for name, value in log.items():
            if name != "epoch":
                writer.add_scalar(_place(name), value, epoch)
        writer.flush()

    def run_ended(self, run: PlannedRun, record: RunRecord | None, reason: str) -> None:
        writer = self._writers.pop(run.key)
        if record is None:
            writer.add_text("ended", reason)
        else:
            final = {f"final/{name}": value for name, value in summary(record).items()}
            settings = {name: value if isinstance(value, bool | int | float) else str(value) for name, value in
                        flat(run.spec.model_dump(mode="json")).items()}  # fmt: skip
            tested = {name: value for name, value in final.items() if name.startswith("final/test/")}
            for name, value in final.items():
                writer.add_scalar(name, value, run.spec.training.epochs)
            for part in _hyperparameters(settings, tested):
                writer.file_writer.add_summary(part)  # type: ignore[attr-defined]
        writer.close()


def _place(name: str) -> str:
    """``train_loss`` as ``train/loss``: TensorBoard groups curves by what stands before the slash."""
    part, _, rest = name.partition("_")
    return f"{part}/{rest}" if rest else name


def _hyperparameters(settings: dict[str, bool | int | float | str], metrics: dict[str, float]) -> tuple[object, ...]:
    from torch.utils.tensorboard.summary import hparams

    return tuple(hparams(settings, metrics))  # type: ignore[no-untyped-call]
