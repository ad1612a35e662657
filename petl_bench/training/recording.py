"""What the record of a run says: counts, times, metrics, names and surroundings."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import petl_bench
from petl_bench.adapters.saved import AdapterConfig, Normalisation, SavedAdapter
from petl_bench.backbones.base import Backbone
from petl_bench.benchmarks.features import notes_on_clips
from petl_bench.benchmarks.splits import Split
from petl_bench.environment import package_versions
from petl_bench.methods.base import Method
from petl_bench.metrics import evaluate
from petl_bench.plan import PlannedRun
from petl_bench.records import MetaInfo, Parts, Predictions, RunInfo, RunRecord, TrainInfo
from petl_bench.training.inputs import Inputs
from petl_bench.training.memory import sees_batches
from petl_bench.training.progress import Progress
from petl_bench.training.readings import Readings
from petl_bench.workbench import Workbench


def record_of(
    planned: PlannedRun,
    train_info: TrainInfo,
    workbench: Workbench,
    split: Split,
    seconds: float,
    system: dict[str, Any],
) -> RunRecord:
    """The record of a run that took so many ``seconds``; ``system`` joins what is said of its surroundings."""
    run_info = RunInfo(
        run_key=planned.key,
        config_key=planned.spec.config_key(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        total_time=seconds,
    )
    meta_info = _meta_info(planned, workbench, split, system)
    return RunRecord(run_info=run_info, spec=planned.spec, train_info=train_info, meta_info=meta_info)


def train_info_of(
    method: Method,
    backbone: Backbone,
    progress: Progress,
    tested_epoch: int,
    predictions: Predictions,
    train_clips: int,
    parts: int | None,
    readings: Readings,
) -> TrainInfo:
    """Counts and metrics of a run whose method is still attached."""
    train_time = sum(epoch["train_time"] for epoch in progress.logs)
    device = next(backbone.parameters()).device
    return TrainInfo(
        **counts_of(method, backbone),
        best_epoch=progress.best.epoch,
        tested_epoch=tested_epoch,
        train_time=train_time,
        clips_per_second=train_clips * progress.epoch / train_time,
        peak_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        parts=None if parts is None else Parts(clips=parts, batch_norm=sees_batches(backbone)),
        metrics={
            "validation": evaluate(predictions.validation_logits, predictions.validation_targets),
            "test": evaluate(predictions.test_logits, predictions.test_targets),
        },
        readings=readings.by_class(predictions.test_targets, predictions.test_logits.shape[1]),
    )


def counts_of(method: Method, backbone: Backbone) -> dict[str, Any]:
    """Parameters of a backbone that the method is attached to, under their names in a record."""
    roles = backbone.parameters_by_role()
    trainable = sum(roles.values())
    surplus = method.published_surplus(backbone.geometry)
    return {
        "num_trainable_params": trainable,
        "num_total_params": backbone.total_parameters(),
        "parameters": roles,
        "redundant_parameters": backbone.redundant_parameters(),
        "published_count": trainable - roles["head"] - backbone.trained_in_final_norm() + surplus,
    }


def predictions_of(
    workbench: Workbench, split: Split, validation: npt.NDArray[np.float32], test: npt.NDArray[np.float32]
) -> Predictions:
    """Logits with the clips they belong to."""
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


def adapter_of(planned: PlannedRun, backbone: Backbone, inputs: Inputs) -> SavedAdapter:
    """What was trained, from a backbone that holds the tested epoch."""
    config = AdapterConfig(
        petl_bench=petl_bench.__version__,
        run_key=planned.key,
        method=planned.method,
        benchmark=planned.benchmark,
        backbone=planned.backbone,
        spec=planned.spec,
        normalisation=Normalisation(mean=inputs.mean, scale=inputs.scale),
        class_names=inputs.dataset.class_names,
        pooled_tokens=backbone.pooled,
    )
    return SavedAdapter(config, {name: as_array(tensor) for name, tensor in backbone.trained_state().items()})


def as_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """A tensor on the CPU, in a type that NumPy has: single precision for half."""
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    array: npt.NDArray[Any] = tensor.cpu().contiguous().numpy()
    return array


def surroundings(device: torch.device) -> dict[str, Any]:
    """What bit-equality is promised on: the device, torch and its threads."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
    }


def _meta_info(planned: PlannedRun, workbench: Workbench, split: Split, system: dict[str, Any]) -> MetaInfo:
    description = workbench.source.description
    method_info = {"name": planned.method, "settings": planned.settings, "overrides": planned.overrides}
    if planned.search:
        method_info["search"] = planned.search
    return MetaInfo(
        method_info=method_info,
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
            "notes": notes_on_clips(workbench.dataset, planned.spec.data.features),
        },
        package_info=package_versions(),
        system_info={**surroundings(workbench.device), "platform": platform.platform(), **system},
    )
