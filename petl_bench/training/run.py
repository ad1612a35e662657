"""One run, from RunSpec to record: attach, train, put back the epoch to be tested, test it, detach."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from petl_bench.adapters.places import note_place
from petl_bench.backbones.base import Backbone
from petl_bench.backbones.half import halve_frozen
from petl_bench.backbones.recompute import recompute_layers
from petl_bench.benchmarks.splits import Split
from petl_bench.checkpoints import Checkpoint
from petl_bench.execution import Execution
from petl_bench.methods.base import Method
from petl_bench.metrics import evaluate
from petl_bench.plan import PlannedRun
from petl_bench.records import FinishedRun
from petl_bench.registry import METHODS
from petl_bench.runspec import RunSpec
from petl_bench.training.frozen import frozen_states
from petl_bench.training.inputs import Inputs
from petl_bench.training.memory import is_out_of_memory, sees_batches, smaller_parts
from petl_bench.training.model import Model, NotFiniteError
from petl_bench.training.progress import Progress
from petl_bench.training.readings import Readings
from petl_bench.training.recording import adapter_of, predictions_of, record_of, surroundings, train_info_of
from petl_bench.training.session import Listener, Session, Silence
from petl_bench.workbench import Workbench


class DoesNotFitError(RuntimeError):
    """So many ``clips`` at a time take more memory than there is in training."""

    def __init__(self, clips: int, batch_norm: bool) -> None:
        super().__init__(f"out of memory with {clips} clips at a time")
        self.clips = clips
        self.batch_norm = batch_norm


def train_run(
    planned: PlannedRun,
    workbench: Workbench,
    listener: Listener | None = None,
    *,
    execution: Execution | None = None,
    checkpoint: Checkpoint | None = None,
) -> FinishedRun:
    """Train and test one run; where a ``checkpoint`` of it was kept, from there on.

    A batch that does not fit into memory is accumulated from parts, which the record says. Raises NotFiniteError,
    naming tensor and step, where the loss is no number any more, and NoMemoryError where parts do not help or would
    change the experiment.
    """
    listener, execution = listener or Silence(), execution or Execution()
    parts: int | None = None
    while True:
        try:
            return _train_once(planned, workbench, listener, execution, checkpoint, parts)
        except DoesNotFitError as shortage:
            batch_norm = shortage.batch_norm
            parts = smaller_parts(shortage.clips, batch_norm=batch_norm, allowed=execution.allow_parts)
        listener.remark(
            f"out of memory: begins again with batches in parts of {parts}"
            + (", whose statistics are what BatchNorm sees" if batch_norm else "")
        )
        if checkpoint is not None:
            checkpoint.discard()
        if workbench.device.type == "cuda":
            torch.cuda.empty_cache()


def _train_once(
    planned: PlannedRun,
    workbench: Workbench,
    listener: Listener,
    execution: Execution,
    checkpoint: Checkpoint | None,
    parts: int | None,
) -> FinishedRun:
    spec = planned.spec
    started = time.perf_counter()
    backbone = workbench.backbone(spec)
    split = workbench.split(spec)
    inputs = Inputs(spec, workbench, split)
    session = Session(listener, checkpoint, parts, surroundings(workbench.device), allow_parts=execution.allow_parts)
    if workbench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(workbench.device)
    try:
        method = attached(planned, backbone)
        backbone.to(workbench.device)
        layers = workbench.untouched_layers(backbone) if execution.frozen_states else 0
        if execution.gradient_checkpointing:
            recompute_layers(backbone)
        if spec.training.precision == "bf16":
            halve_frozen(backbone)
        model = Model(spec, backbone, inputs, frozen_states(spec, backbone, layers, inputs, execution.workers))

        progress = fit(model, split, session)
        tested = progress.epoch
        if spec.switches.checkpoint == "best":
            backbone.restore(progress.best.state)
            tested = progress.best.epoch
        updates = tested * batches_per_epoch(spec, split)
        readings = Readings(method)
        validation_logits = model.predict(split.validation, updates)
        test_logits = model.predict(split.test, updates, readings.take)
        predictions = predictions_of(workbench, split, validation_logits, test_logits)
        train_info = train_info_of(
            method, backbone, progress, tested, predictions, len(split.train), session.parts, readings
        )
        adapter = adapter_of(planned, backbone, inputs) if execution.save_adapters else None
        if adapter is not None and workbench.source.folder is not None:
            note_place(spec.backbone, workbench.source.folder)
    finally:
        backbone.detach()
        changed = workbench.give_back(backbone)
    if changed:
        raise RuntimeError(f"detached, the backbone is not as before ({', '.join(changed[:3])}); see petl-bench check")
    seconds = session.seconds_before + time.perf_counter() - started
    system: dict[str, object] = {"gradient_checkpointing": True} if execution.gradient_checkpointing else {}
    if model.frozen is not None:
        system["frozen_layers"] = model.frozen.layers
    if session.earlier:
        system["resumed"] = session.earlier
    record = record_of(planned, train_info, workbench, split, seconds, system)
    return FinishedRun(record, progress.logs, predictions, adapter)


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


def fit(model: Model, split: Split, session: Session) -> Progress:
    """Train for all epochs that are not done yet: AdamW, cosine per step to 0, cross-entropy."""
    spec, backbone, inputs = model.spec, model.backbone, model.inputs
    recipe, batches = spec.training, batches_per_epoch(spec, split)
    progress = Progress(spec, backbone, batches)
    session.take_up(progress)

    for epoch in range(progress.epoch + 1, recipe.epochs + 1):
        started = time.perf_counter()
        backbone.train()
        order = order_of(spec, split, epoch)
        masks = spec.streams.derive("augmentation", epoch)
        total = torch.zeros((), device=inputs.device)
        with seeded(spec, "dropout", epoch):
            for start in range(0, len(order), recipe.batch_size):
                total += update(model, progress, order[start : start + recipe.batch_size], session.parts, masks)
        train_time = time.perf_counter() - started

        validation_logits = model.predict(split.validation, updates=epoch * batches)
        measured = evaluate(validation_logits, inputs.targets.numpy()[split.validation])
        log = {
            "epoch": epoch,
            "train_loss": float(total) / len(order),
            "validation_loss": measured["loss"],
            "validation_accuracy": measured["accuracy"],
            f"validation_{spec.data.metric}": measured[spec.data.metric],
            "lr": float(progress.schedule.get_last_lr()[0]),
            "train_time": train_time,
        }
        progress.best.offer(epoch, measured[spec.data.metric], measured["loss"], backbone)
        progress.logs.append(log)
        session.epoch_ended(progress)
    return progress


def update(
    model: Model, progress: Progress, batch: npt.NDArray[np.int64], parts: int | None, masks: int | None
) -> Tensor:
    """One optimizer step on a batch, in ``parts`` of so many clips; the sum of the clips' losses.

    Raises NotFiniteError, DoesNotFitError.
    """
    total = torch.zeros((), device=model.inputs.device)
    progress.optimizer.zero_grad(set_to_none=True)
    for clips in micro_batches(batch, parts or model.spec.training.micro_batch_size):
        with fitting(len(clips), model.backbone):
            loss = nn.functional.cross_entropy(model.logits(clips, masks), model.inputs.targets_of(clips))
            if not torch.isfinite(loss):
                cause = model.diagnosis(clips, progress.updates, masks)
                where = f"step {progress.updates + 1} (epoch {progress.epoch + 1})"
                raise NotFiniteError(f"loss is not finite at {where}: {cause}")
            (loss * (len(clips) / len(batch))).backward()  # type: ignore[no-untyped-call]
        total += loss.detach() * len(clips)
    with fitting(1, model.backbone):  # parts take nothing off what the optimizer keeps
        progress.optimizer.step()
    progress.schedule.step()
    return total


def micro_batches(batch: npt.NDArray[np.int64], size: int | None) -> Iterator[npt.NDArray[np.int64]]:
    """A batch in parts of at most ``size`` clips, whose gradients add up; whole where no size is given."""
    size = size or len(batch)
    for start in range(0, len(batch), size):
        yield batch[start : start + size]


def order_of(spec: RunSpec, split: Split, epoch: int) -> npt.NDArray[np.int64]:
    """The training clips as an epoch's batches take them."""
    return np.random.default_rng(spec.streams.derive("batches", epoch)).permutation(split.train)


def batches_per_epoch(spec: RunSpec, split: Split) -> int:
    """The last batch of an epoch may be smaller; none is dropped."""
    return -(-len(split.train) // spec.training.batch_size)


@contextmanager
def fitting(clips: int, backbone: Backbone) -> Iterator[None]:
    """Turn a failed allocation into DoesNotFitError, which holds on to nothing that takes memory."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    else:
        return
    raise DoesNotFitError(clips, sees_batches(backbone))


@contextmanager
def seeded(spec: RunSpec, stream: str, *parts: int) -> Iterator[None]:
    """Run the block under torch's generators seeded for a stream of the run; they are as before afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(spec.streams.derive(stream, *parts))
        yield
