"""How long runs will take, from throughput that was measured: on record, or by a few steps on empty input."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

import torch

from petl_bench.backbones.base import Backbone
from petl_bench.canonical import flat
from petl_bench.errors import UserError, one_line
from petl_bench.plan import PlannedRun
from petl_bench.records import RunRecord
from petl_bench.runspec import RunSpec
from petl_bench.training.inputs import precision_of
from petl_bench.training.model import EVALUATION_BATCH
from petl_bench.training.run import attached, batches_per_epoch
from petl_bench.workbench import Workbench

MEASURED_STEPS = 2


class Throughput:
    """Seconds per run on one workbench."""

    def __init__(self, workbench: Workbench, records: Iterable[RunRecord]) -> None:
        self.workbench = workbench
        self.basis = ""
        self._recorded: dict[tuple[object, ...], list[float]] = defaultdict(list)
        self._measured: dict[tuple[object, ...], tuple[float, float]] = {}
        for record in filter(self._like_here, records):
            clips = record.meta_info.dataset_info["clips"]
            work = record.spec.training.epochs * (clips["train"] + clips["validation"])
            self._recorded[_kind(record.spec)].append(record.run_info.total_time / work)

    def seconds(self, runs: Sequence[PlannedRun]) -> float:
        """What these runs will take one after the other. Raises UserError where a method cannot take a step."""
        total, bases = 0.0, set()
        for run in runs:
            split, epochs = self.workbench.split(run.spec), run.spec.training.epochs
            if recorded := self._recorded.get(_kind(run.spec)):
                total += median(recorded) * epochs * (len(split.train) + len(split.validation))
                bases.add("runs on record")
            else:
                step, batch = self._steps(run)
                validation, test = len(split.validation) / EVALUATION_BATCH, len(split.test) / EVALUATION_BATCH
                total += epochs * batches_per_epoch(run.spec, split) * step
                total += ((epochs + 1) * validation + test) * batch
                bases.add(f"{MEASURED_STEPS} steps each, measured now")
        self.basis = " and ".join(sorted(bases))
        return total

    def _like_here(self, record: RunRecord) -> bool:
        """Whether a run was made on this kind of device with this backbone."""
        device = self.workbench.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        system = record.meta_info.system_info
        same_threads = device.type == "cuda" or system.get("threads") == torch.get_num_threads()
        backbone = self.workbench.source.description.fingerprint
        return system.get("device") == name and same_threads and record.spec.backbone == backbone

    def _steps(self, run: PlannedRun) -> tuple[float, float]:
        """Seconds of a training step and of an evaluation batch, on input of zeros; the first step does not count."""
        spec, kind = run.spec, _kind(run.spec)
        if kind not in self._measured:
            backbone = self.workbench.backbone(spec)
            try:
                attached(run, backbone)
                layers = self.workbench.untouched_layers(backbone)
                augment = spec.data.augment
                masked = augment.time_mask or augment.frequency_mask
                backbone.to(self.workbench.device).train()
                step = self._timed(spec, backbone, spec.training.batch_size, 0 if masked else layers, backward=True)
                backbone.eval()
                with torch.inference_mode():
                    batch = self._timed(spec, backbone, EVALUATION_BATCH, layers, backward=False)
            except UserError:
                raise
            except Exception as error:  # a method of the user's own may raise anything
                raise UserError(f"{run.title}: cannot take a step ({one_line(error)})") from error
            finally:
                backbone.detach()
                self.workbench.give_back(backbone)
            self._measured[kind] = (step, batch)
        return self._measured[kind]

    def _timed(self, spec: RunSpec, backbone: Backbone, clips: int, frozen: int, *, backward: bool) -> float:
        """On hidden states behind ``frozen`` layers, where these are computed once for all runs."""
        device, features = self.workbench.device, spec.data.features
        batch = torch.zeros(clips, *features.shape, device=device)
        if frozen:
            with torch.no_grad():
                batch = backbone.hidden(batch[:1], frozen).expand(clips, -1, -1)
        started = 0.0
        for step in range(MEASURED_STEPS + 1):
            if step == 1:
                started = time.perf_counter()
            with precision_of(spec, device):
                tokens = backbone.from_hidden(batch, frozen) if frozen else backbone.tokens(batch)
                loss = backbone.classify(backbone.pool(tokens)).float().square().mean()
            if backward:
                loss.backward()  # type: ignore[no-untyped-call]
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        return (time.perf_counter() - started) / MEASURED_STEPS


def _kind(spec: RunSpec) -> tuple[object, ...]:
    """What throughput depends on, near enough."""
    placement = flat(spec.method.hyperparameters.get("placement") or {})
    adapted = str(placement.get("location")), str(placement.get("layers"))
    recipe = spec.training.batch_size, spec.training.micro_batch_size, spec.training.precision
    return spec.method.implementation, *adapted, spec.data.features.frames, *recipe
