"""A checkpoint whose weights hold what a method trained: no method is needed to use it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from petl_bench.adapters.model import TrainedModel
from petl_bench.backbones.base import Backbone
from petl_bench.backbones.folder import quiet_transformers
from petl_bench.backbones.resolve import resolve
from petl_bench.errors import UserError, one_line
from petl_bench.files import read_text, write_durably

HEAD, HEAD_TENSORS = "head", "head.safetensors"
TOLERANCE = 1e-4
"""Of logits, as parts of the largest: folding an update into weights rounds otherwise."""


def write_merged(folder: Path, model: TrainedModel) -> None:
    """Write ``config.json``, ``model.safetensors`` and ``head/`` into a folder. The model is used up.

    With them go the other files that the backbone is read from, such as ``preprocessor_config.json``. The checkpoint is
    one at the run's input length. Raises UserError where the method cannot be merged.
    """
    backbone, features = model.backbone, model.config.spec.data.features
    noise = torch.randn(2, *features.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = backbone(noise.to(model.device))
    try:
        model.method.merge(backbone)
    except ValueError as error:
        raise UserError(f"--merge: method {model.config.method} cannot be merged: {error}") from error
    if not isinstance(backbone.model, PreTrainedModel):
        raise UserError(f"--merge: backbone {model.config.backbone} is no model of transformers")
    with quiet_transformers():
        backbone.model.save_pretrained(folder)
    for name in type(backbone).files:
        if model.checkpoint is not None and name != "config.json" and (model.checkpoint / name).is_file():
            shutil.copyfile(model.checkpoint / name, folder / name)
    _write_head(folder / HEAD, model)
    _check(folder, backbone, features.frames, noise, before)


def is_merged(folder: Path) -> bool:
    """Whether a folder is a merged checkpoint with its head, readable or not."""
    return (folder / HEAD / HEAD_TENSORS).is_file() and (folder / "config.json").is_file()


def check_merged(folder: Path) -> None:
    """Raise UserError where a merged checkpoint, or its head, cannot be loaded."""
    source = resolve(str(folder))
    try:
        said = json.loads(read_text(folder / HEAD / "config.json"))
        frames, classes = said["features"]["frames"], len(said["class_names"])
        shape = tuple(load_file(folder / HEAD / HEAD_TENSORS)["weight"].shape)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder / HEAD}: not the head of a merged checkpoint: {one_line(error)}") from error
    if shape != (wanted := (classes, source.description.geometry.hidden_size)):
        raise UserError(f"{folder / HEAD}: weight is {shape}, the checkpoint and its classes want {wanted}")
    source.cls.load(source.folder, frames)


def _write_head(folder: Path, model: TrainedModel) -> None:
    """The head, and what it and the checkpoint must be given: not beside the weights, which it is none of."""
    config, head = model.config, model.backbone.head
    assert head is not None
    folder.mkdir()
    save_file({name: tensor.detach().cpu() for name, tensor in head.state_dict().items()}, folder / HEAD_TENSORS)
    said = {
        "class_names": list(config.class_names),
        "pooled_tokens": config.pooled_tokens,
        "normalisation": config.normalisation.model_dump(),
        "features": config.spec.data.features.model_dump(include={"frames", "bins", "input"}),
    }
    write_durably(folder / "config.json", json.dumps(said, indent=2, ensure_ascii=False) + "\n")


def _check(folder: Path, trained: Backbone, frames: int, noise: torch.Tensor, before: torch.Tensor) -> None:
    """Whether what was written computes what the trained model did. Raises UserError."""
    source = resolve(str(folder))
    plain = source.cls.load(source.folder, frames).to(before.device)
    with torch.inference_mode():
        plain.pooled, plain.head = trained.pooled, trained.head
        after = plain(noise.to(before.device))
    difference = float((after - before).abs().max() / before.abs().max())
    if not difference < TOLERANCE:
        raise UserError(f"--merge: merged, logits differ by up to {difference:.2g} of the largest: not written")
