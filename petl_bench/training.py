"""One run, from RunSpec to record: attach, train, put back the epoch to be tested, test it, detach."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.benchmarks.augment import mask
from petl_bench.benchmarks.splits import Split
from petl_bench.diagnosis import diagnose
from petl_bench.environment import package_versions
from petl_bench.inputs import Inputs
from petl_bench.methods.base import Method
from petl_bench.metrics import evaluate
from petl_bench.plan import PlannedRun
from petl_bench.records import FinishedRun, MetaInfo, Predictions, RunInfo, RunRecord, TrainInfo
from petl_bench.registry import METHODS
from petl_bench.runspec import RunSpec
from petl_bench.workbench import Workbench

EVALUATION_BATCH = 64

OnEpoch = Callable[[int, dict[str, float]], None]


class NotFiniteError(RuntimeError):
    """A loss that is NaN or infinite, with a diagnosis."""


def train_run(planned: PlannedRun, workbench: Workbench, on_epoch: OnEpoch | None = None) -> FinishedRun:
    """Train and test one run. Raises NotFiniteError, naming tensor and step, where the loss is no number any more."""
    spec = planned.spec
    started = time.perf_counter()
    backbone = workbench.backbone(spec)
    split = workbench.split(spec)
    inputs = Inputs(spec, workbench, split)
    if workbench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(workbench.device)
    try:
        method = attached(planned, backbone)
        backbone.to(workbench.device)

        epochs, best = fit(spec, backbone, inputs, split, on_epoch or (lambda epoch, log: None))
        tested = len(epochs)
        if spec.switches.checkpoint == "best":
            backbone.restore(best.state)
            tested = best.epoch
        updates = tested * batches_per_epoch(spec, split)
        validation_logits = predict(spec, backbone, inputs, split.validation, updates)
        test_logits = predict(spec, backbone, inputs, split.test, updates)
        predictions = _predictions(workbench, split, validation_logits, test_logits)
        train_info = _train_info(method, backbone, epochs, best.epoch, tested, predictions, len(split.train))
    finally:
        backbone.detach()
        changed = workbench.give_back(backbone)
    if changed:
        raise RuntimeError(f"detached, the backbone is not as before ({', '.join(changed[:3])}); see petl-bench check")
    run_info = RunInfo(
        run_key=planned.key,
        config_key=spec.config_key(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        total_time=time.perf_counter() - started,
    )
    meta_info = _meta_info(planned, workbench, split)
    return FinishedRun(
        RunRecord(run_info=run_info, spec=spec, train_info=train_info, meta_info=meta_info), epochs, predictions
    )


def attached(planned: PlannedRun, backbone: Backbone) -> Method:
    """The run's method, put on a backbone together with its head, each from its own random stream.

    Raises RuntimeError where the method's code is not what the run was planned with.
    """
    spec = planned.spec
    implementation = METHODS.load(planned.code)
    if implementation.source != spec.method.source:
        raise RuntimeError(f"{planned.code} changed after this run was planned; plan it again")
    config = implementation.cls.Config.model_validate(spec.method.hyperparameters)
    method: Method = implementation.cls(config, spec.switches)
    with seeded(spec, "initialisation"):
        method.attach(backbone)
    with seeded(spec, "head"):
        backbone.add_head(spec.data.class_count, method.pooled_tokens(backbone.geometry))
    return method


class Best:
    """The best validation epoch so far: highest metric, then lowest loss, then earliest; and a real copy of it."""

    def __init__(self) -> None:
        self.score = (-float("inf"), -float("inf"))
        self.epoch = 0
        self.state: dict[str, Tensor] = {}

    def offer(self, epoch: int, metric: float, loss: float, backbone: Backbone) -> None:
        if (metric, -loss) > self.score:
            self.score, self.epoch, self.state = (metric, -loss), epoch, backbone.trained_state()


def fit(
    spec: RunSpec, backbone: Backbone, inputs: Inputs, split: Split, on_epoch: OnEpoch
) -> tuple[list[dict[str, float]], Best]:
    """Train for all epochs: AdamW, cosine per step to 0, cross-entropy. Returns the epochs' logs and the best epoch."""
    recipe, settings, augment = spec.training, spec.training.optimizer, spec.data.augment
    optimizer = torch.optim.AdamW(
        backbone.trained_parameters(),
        lr=settings.lr,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
    )
    batches = batches_per_epoch(spec, split)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * batches)
    best, logs = Best(), []

    for epoch in range(1, recipe.epochs + 1):
        started = time.perf_counter()
        backbone.train()
        order = np.random.default_rng(spec.streams.derive("batches", epoch)).permutation(split.train)
        masks = spec.streams.derive("augmentation", epoch)
        total = torch.zeros((), device=inputs.device)
        with seeded(spec, "dropout", epoch):
            for number, start in enumerate(range(0, len(order), recipe.batch_size)):
                batch = order[start : start + recipe.batch_size]
                optimizer.zero_grad(set_to_none=True)
                for indices in micro_batches(batch, recipe.micro_batch_size):
                    features, targets = inputs.batch(indices)
                    if augment.time_mask or augment.frequency_mask:
                        features = mask(features, inputs.clips[indices], masks, augment)
                    with precision_of(spec, inputs.device):
                        logits = backbone(features)
                    loss = nn.functional.cross_entropy(logits.float(), targets)
                    if not torch.isfinite(loss):
                        step = (epoch - 1) * batches + number + 1
                        with precision_of(spec, inputs.device):
                            cause = diagnose(backbone, features, updates=step - 1)
                        raise NotFiniteError(f"loss is not finite at step {step} (epoch {epoch}): {cause}")
                    (loss * (len(indices) / len(batch))).backward()  # type: ignore[no-untyped-call]
                    total += loss.detach() * len(indices)
                optimizer.step()
                schedule.step()
        train_time = time.perf_counter() - started

        validation_logits = predict(spec, backbone, inputs, split.validation, updates=epoch * batches)
        measured = evaluate(validation_logits, inputs.targets.numpy()[split.validation])
        log = {
            "epoch": epoch,
            "train_loss": float(total) / len(order),
            "validation_loss": measured["loss"],
            "validation_accuracy": measured["accuracy"],
            f"validation_{spec.data.metric}": measured[spec.data.metric],
            "lr": float(schedule.get_last_lr()[0]),
            "train_time": train_time,
        }
        best.offer(epoch, measured[spec.data.metric], measured["loss"], backbone)
        logs.append(log)
        on_epoch(epoch, log)
    return logs, best


def micro_batches(batch: npt.NDArray[np.int64], size: int | None) -> Iterator[npt.NDArray[np.int64]]:
    """A batch in parts of at most ``size`` clips, whose gradients add up; whole where no size is given."""
    size = size or len(batch)
    for start in range(0, len(batch), size):
        yield batch[start : start + size]


def batches_per_epoch(spec: RunSpec, split: Split) -> int:
    """The last batch of an epoch may be smaller; none is dropped."""
    return -(-len(split.train) // spec.training.batch_size)


@torch.inference_mode()
def predict(
    spec: RunSpec, backbone: Backbone, inputs: Inputs, indices: npt.NDArray[np.int64], updates: int
) -> npt.NDArray[np.float32]:
    """Logits ``[clips, classes]`` of the clips at ``indices``, in eval mode, after so many updates.

    Raises NotFiniteError.
    """
    backbone.eval()
    parts = []
    for start in range(0, len(indices), EVALUATION_BATCH):
        features, _ = inputs.batch(indices[start : start + EVALUATION_BATCH])
        with precision_of(spec, inputs.device):
            logits = backbone(features).float()
            if not torch.isfinite(logits).all():
                cause = diagnose(backbone, features, updates)
                raise NotFiniteError(f"logits are not finite in evaluation: {cause}")
        parts.append(logits.cpu())
    together: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return together


def precision_of(spec: RunSpec, device: torch.device) -> torch.autocast:
    """bf16 autocast where the run asks for it."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=spec.training.precision == "bf16")


@contextmanager
def seeded(spec: RunSpec, stream: str, *parts: int) -> Iterator[None]:
    """Run the block under torch's generators seeded for a stream of the run; they are as before afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(spec.streams.derive(stream, *parts))
        yield


def _train_info(
    method: Method,
    backbone: Backbone,
    epochs: list[dict[str, float]],
    best_epoch: int,
    tested_epoch: int,
    predictions: Predictions,
    train_clips: int,
) -> TrainInfo:
    roles = backbone.parameters_by_role()
    trainable = sum(roles.values())
    surplus = method.published_surplus(backbone.geometry)
    train_time = sum(epoch["train_time"] for epoch in epochs)
    device = next(backbone.parameters()).device
    return TrainInfo(
        num_trainable_params=trainable,
        num_total_params=backbone.total_parameters(),
        parameters=roles,
        redundant_parameters=backbone.redundant_parameters(),
        published_count=trainable - roles["head"] - backbone.trained_in_final_norm() + surplus,
        best_epoch=best_epoch,
        tested_epoch=tested_epoch,
        train_time=train_time,
        clips_per_second=train_clips * len(epochs) / train_time,
        peak_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        metrics={
            "validation": evaluate(predictions.validation_logits, predictions.validation_targets),
            "test": evaluate(predictions.test_logits, predictions.test_targets),
        },
    )


def _predictions(
    workbench: Workbench, split: Split, validation: npt.NDArray[np.float32], test: npt.NDArray[np.float32]
) -> Predictions:
    dataset = workbench.dataset
    return Predictions(
        validation_ids=dataset.ids[split.validation],
        validation_groups=dataset.groups[split.validation],
        validation_targets=dataset.targets[split.validation],
        validation_logits=validation,
        test_ids=dataset.ids[split.test],
        test_groups=dataset.groups[split.test],
        test_targets=dataset.targets[split.test],
        test_logits=test,
    )


def _meta_info(planned: PlannedRun, workbench: Workbench, split: Split) -> MetaInfo:
    device, description = workbench.device, workbench.source.description
    return MetaInfo(
        method_info={"name": planned.method, "settings": planned.settings, "overrides": planned.overrides},
        model_info={
            "name": planned.backbone,
            "note": description.note,
            **vars(description.geometry),
            "special_tokens": list(description.geometry.special_tokens),
        },
        dataset_info={
            "name": planned.benchmark,
            "class_names": list(workbench.dataset.class_names),
            "clips": {part: len(indices) for part, indices in vars(split).items()},
            "limit": workbench.dataset.limit,
        },
        package_info=package_versions(),
        system_info={
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "threads": torch.get_num_threads(),
            "platform": platform.platform(),
        },
    )
