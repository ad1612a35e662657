"""A trained adapter in a folder: ``adapter.safetensors`` and ``config.json``, which says all else. Free of torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, NonNegativeInt, PositiveFloat, ValidationError, model_validator
from safetensors.numpy import load, save

from petl_bench.errors import UserError
from petl_bench.files import flush, write_durably
from petl_bench.records import DamagedError, NewerRecordError, Part, content_of
from petl_bench.runspec import RunSpec

SCHEMA_VERSION = 1
TENSORS, CONFIG = "adapter.safetensors", "config.json"
SEAL = "sha256"
"""Key of ``config.json``: digest of its other keys, as sorted compact JSON, and the bytes of the tensors' file."""

Tensors = Mapping[str, npt.NDArray[Any]]


class Normalisation(Part):
    """The model's input is (log_mel - mean) / scale."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: float
    scale: PositiveFloat


class AdapterConfig(Part):
    """All that is needed to use trained tensors on the backbone that they were trained on."""

    schema_version: int = SCHEMA_VERSION
    petl_bench: str
    """The version that trained it."""
    run_key: str
    method: str
    """Name of the method's card; the code is ``spec.method``."""
    benchmark: str
    backbone: str
    """Name of the backbone; its fingerprint is ``spec.backbone``."""
    spec: RunSpec
    normalisation: Normalisation
    """What the run used, whatever switch it came from."""
    class_names: tuple[str, ...]
    pooled_tokens: tuple[NonNegativeInt, ...] | None
    """Positions of the tokens that the head reads; None for all."""

    @model_validator(mode="after")
    def _a_name_for_every_class(self) -> AdapterConfig:
        if len(self.class_names) != self.spec.data.class_count:
            raise ValueError("class_names does not name every class")
        return self


@dataclass(frozen=True)
class SavedAdapter:
    """Trained tensors of all roles, head and norms included, and buffers of attachments, by their backbone's names."""

    config: AdapterConfig
    tensors: Tensors


def write_adapter(folder: Path, adapter: SavedAdapter) -> None:
    """Write a new folder's files. Raises OSError."""
    folder.mkdir()
    data = save({name: np.asarray(array) for name, array in adapter.tensors.items()}, {"format": "pt"})
    with (folder / TENSORS).open("wb") as file:
        file.write(data)
        flush(file)
    said = adapter.config.model_dump(mode="json")
    text = json.dumps({**said, SEAL: _seal(said, data)}, indent=2, ensure_ascii=False)
    write_durably(folder / CONFIG, text + "\n")


def read_config(folder: Path) -> AdapterConfig:
    """What an adapter's folder says of it; the tensors are not looked at.

    Raises DamagedError, NewerRecordError where a later version wrote it, UserError where it cannot be read now.
    """
    return _config(folder / CONFIG, _said(folder / CONFIG))


def read_adapter(folder: Path) -> SavedAdapter:
    """The adapter in a folder. Raises as ``read_config``, and DamagedError where any byte is not what was written."""
    path = folder / TENSORS
    said = _said(folder / CONFIG)
    config = _config(folder / CONFIG, said)
    if not path.exists():
        raise DamagedError(f"{path}: the adapter is damaged: there is no such file")
    data = content_of(path)
    try:
        tensors = load(data)
    except Exception as error:  # whatever a damaged file makes safetensors say
        raise DamagedError(f"{path}: not readable tensors ({type(error).__name__})") from error
    if said.pop(SEAL, None) != _seal(said, data):
        raise DamagedError(f"{path}: it is not, or {CONFIG} beside it is not, as it was written")
    return SavedAdapter(config, tensors)


def is_adapter(folder: Path) -> bool:
    """Whether a folder is one of an adapter, readable or not: its tensors or its configuration are there."""
    if (folder / TENSORS).exists():
        return True
    try:
        return SEAL in _said(folder / CONFIG)
    except UserError:
        return False


def _said(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(content_of(path))
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path}: not the configuration of an adapter ({type(error).__name__})") from error
    if not isinstance(said, dict) or not isinstance(said.get("schema_version"), int):
        raise DamagedError(f"{path}: not the configuration of an adapter")
    return said


def _config(path: Path, said: dict[str, Any]) -> AdapterConfig:
    newer = f"{path}: a newer petl-bench wrote it; update this one"
    if said["schema_version"] > SCHEMA_VERSION:
        raise NewerRecordError(newer)
    try:
        return AdapterConfig.model_validate(said)
    except ValidationError as error:
        if any(detail["type"] == "extra_forbidden" for detail in error.errors()):
            raise NewerRecordError(newer) from error
        raise DamagedError(f"{path}: not the configuration of an adapter ({type(error).__name__})") from error


def _seal(said: Mapping[str, Any], data: bytes) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode() + b"\0" + data).hexdigest()
