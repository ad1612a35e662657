"""Weights in a pickle, taken over into safetensors once, where the user says that they may be."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from petl_bench.errors import UserError
from petl_bench.locations import cache_folder, unwritable_cache

PATTERN = "pytorch_model*.bin"


def as_safetensors(folder: Path, others: Sequence[str]) -> Path:
    """A folder in the cache with the model of ``folder``, its weights as safetensors; made where it is not there yet.

    ``others`` are the files that go along, as far as they are there. Only tensors are taken out of the pickle (torch's
    ``weights_only``). Raises UserError where it holds anything else.
    """
    files = sorted(folder.glob(PATTERN))
    others = [name for name in others if (folder / name).is_file()]
    content = hashlib.sha256(b"".join((folder / name).read_bytes() for name in others))
    for file in files:
        with file.open("rb") as stream:
            content.update(hashlib.file_digest(stream, "sha256").digest())
    place = cache_folder() / "backbones" / content.hexdigest()[:16]
    if (place / "config.json").is_file():
        return place
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _tensors_in(file)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as new:
            save_file(tensors, Path(new) / "model.safetensors", {"format": "pt"})
            for name in others:
                shutil.copyfile(folder / name, Path(new) / name)
            Path(new).chmod(0o755)
            with suppress(OSError):  # another process was quicker
                Path(new).rename(place)
    except OSError as error:
        raise unwritable_cache(place.parent, error) from error
    return place


def _tensors_in(file: Path) -> dict[str, Tensor]:
    try:
        held = torch.load(file, map_location="cpu", weights_only=True)
        return {str(name): tensor.detach().clone().contiguous() for name, tensor in held.items()}
    except Exception as error:  # whatever a pickle of something else makes torch say
        raise UserError(
            f"{file} holds more than tensors by name, or is damaged ({type(error).__name__}): save the model's "
            "state_dict alone, or better as model.safetensors"
        ) from error
