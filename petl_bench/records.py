"""Records of runs: what a run folder's files hold, and how they are read. Free of torch."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from petl_bench.errors import UserError
from petl_bench.runspec import RunSpec

if TYPE_CHECKING:
    from petl_bench.adapters.saved import SavedAdapter

SCHEMA_VERSION = 1


class NewerRecordError(UserError):
    """A record that a later petl-bench wrote: neither done nor damaged, and never replaced."""


class DamagedError(UserError):
    """A run whose files are not what any version writes: never taken as done, and replaced when it is run again."""


class Part(BaseModel):
    """A section of a record. Unknown keys of later versions are kept out, not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def _holding(value: Mapping[Any, object], keys: Iterable[str], what: str) -> None:
    """Refuse a section that lacks keys which readers of records rely on."""
    if missing := [key for key in keys if key not in value]:
        raise ValueError(f"{what} lacks {', '.join(missing)}")


class RunInfo(Part):
    run_key: str
    config_key: str
    status: Literal["success"] = "success"
    created_at: str
    total_time: NonNegativeFloat
    """Seconds, from attaching the method to the last test clip."""
    logits: Literal["float32", "float16"] = "float32"
    """How precise the stored logits are: float16 in compact copies, which predict the same classes."""


class Parts(Part):
    """Batches in parts of so many ``clips``; ``batch_norm``: a BatchNorm saw parts in place of batches."""

    clips: int
    batch_norm: bool


class TrainInfo(Part):
    """What came out: counts as published tables need them, the epoch that was tested, metrics as fractions."""

    num_trainable_params: NonNegativeInt
    num_total_params: PositiveInt
    """Of the backbone at the run's length, without attachments and head."""
    parameters: dict[str, NonNegativeInt]
    """Trained parameters by role: adapter, bias, norm, head, backbone."""
    redundant_parameters: NonNegativeInt | None = None
    """Those of them that cannot change a training loss, as the method declares; None in records before it did."""
    published_count: int
    """As the literature counts: without head and final norm, with what its released code trains in vain."""
    best_epoch: int
    tested_epoch: int
    train_time: NonNegativeFloat
    clips_per_second: NonNegativeFloat
    peak_memory: int | None = None
    """Bytes on the accelerator; None on the CPU."""
    parts: Parts | None = None
    """How batches were accumulated that did not fit into memory; None where they did."""
    metrics: dict[Literal["validation", "test"], dict[str, float]]
    readings: dict[str, tuple[float | None, ...]] = {}
    """What a method shows of itself, by name: means over the test clips of every class; None for a class without."""

    @model_validator(mode="after")
    def _complete(self) -> TrainInfo:
        _holding(self.parameters, ("adapter", "bias", "norm", "head", "backbone"), "parameters")
        _holding(self.metrics, ("validation", "test"), "metrics")
        for metrics in self.metrics.values():
            _holding(metrics, ("accuracy", "balanced_accuracy", "macro_f1", "loss"), "metrics")
            if not all(0 <= value <= 1 for name, value in metrics.items() if name != "loss"):
                raise ValueError("a metric is no fraction")
        return self

    @property
    def adapted_parameters(self) -> int:
        """The headline count: all that trains but the head."""
        return self.num_trainable_params - self.parameters["head"]


class MetaInfo(Part):
    """Names, sizes and surroundings; no part of the keys."""

    method_info: dict[str, Any] = {}
    """Name of the method's card when it ran; what it and the request said (``settings``); the request's part alone."""
    model_info: dict[str, Any]
    dataset_info: dict[str, Any]
    package_info: dict[str, str]
    system_info: dict[str, Any]

    @model_validator(mode="after")
    def _complete(self) -> MetaInfo:
        _holding(self.model_info, ("name",), "model_info")
        _holding(self.dataset_info, ("name", "clips", "limit"), "dataset_info")
        clips = self.dataset_info["clips"]
        if not all(isinstance(clips.get(part), int) and clips[part] > 0 for part in ("train", "test")):
            raise ValueError("dataset_info.clips does not count training and test clips")
        names = [self.model_info["name"], self.dataset_info["name"], self.method_info.get("name", "")]
        if not all(isinstance(text, str) for text in (*names, self.model_info.get("note", ""))):
            raise ValueError("a name or a note is no text")
        if not all(isinstance(self.method_info.get(part, {}), dict) for part in ("settings", "overrides")):
            raise ValueError("method_info does not hold settings by name")
        notes = self.dataset_info.get("notes", [])
        if not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
            raise ValueError("dataset_info.notes is no list of lines")
        if not isinstance(self.dataset_info["limit"], int | None):
            raise ValueError("dataset_info.limit is no number of clips")
        return self


class RunRecord(Part):
    """One finished run. Section names follow huggingface/peft's method comparison."""

    schema_version: int = SCHEMA_VERSION
    run_info: RunInfo
    spec: RunSpec
    train_info: TrainInfo
    meta_info: MetaInfo

    @property
    def labels(self) -> tuple[str, str, str]:
        """Benchmark, backbone and implementation: the folders the record is filed under."""
        names = self.meta_info.dataset_info["name"], self.meta_info.model_info["name"], self.spec.method.implementation
        return tuple(map(slug, names))  # type: ignore[return-value]


@dataclass(frozen=True)
class Predictions:
    """Logits of the tested epoch, ``[clips, classes]`` float32, and what they belong to."""

    validation_ids: npt.NDArray[np.str_]
    validation_groups: npt.NDArray[np.str_]
    validation_targets: npt.NDArray[np.int64]
    validation_logits: npt.NDArray[np.float32]
    test_ids: npt.NDArray[np.str_]
    test_groups: npt.NDArray[np.str_]
    test_targets: npt.NDArray[np.int64]
    test_logits: npt.NDArray[np.float32]


@dataclass(frozen=True)
class FinishedRun:
    """All that a run leaves behind."""

    record: RunRecord
    epochs: list[dict[str, float]]
    predictions: Predictions
    adapter: SavedAdapter | None = None


class Failure(Part):
    """Why a run failed; never taken as done."""

    run_key: str
    title: str
    error: str
    traceback: str
    created_at: str
    spec: RunSpec


def read_record(folder: Path) -> RunRecord:
    """The record of a run folder.

    Raises DamagedError, NewerRecordError where a later version wrote it, UserError where the file cannot be read now.
    """
    path = folder / "run.json"
    try:
        data = json.loads(content_of(path))
        version = data["schema_version"]
        if version > SCHEMA_VERSION:
            raise NewerRecordError(
                f"{path}: schema_version {version} is newer than this petl-bench reads ({SCHEMA_VERSION}); update it"
            )
        return RunRecord.model_validate(data)
    except ValidationError as error:
        if any(detail["type"] == "extra_forbidden" for detail in error.errors()):
            raise NewerRecordError(f"{path}: it has settings that this petl-bench does not know; update it") from error
        raise DamagedError(f"{path}: not a readable run record ({type(error).__name__})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{path}: not a readable run record ({type(error).__name__})") from error


def read_failure(path: Path) -> Failure | None:
    """The failure in a file, or None where the file is damaged."""
    try:
        return Failure.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def read_predictions(folder: Path) -> Predictions:
    """The predictions of a run folder. Raises DamagedError, UserError where the file cannot be read now."""
    path = folder / "predictions.npz"
    try:
        with np.load(io.BytesIO(content_of(path)), allow_pickle=False) as arrays:
            predictions = Predictions(**{name: arrays[name] for name in Predictions.__dataclass_fields__})
    except Exception as error:  # numpy and zipfile raise many things over damaged files
        raise DamagedError(f"{path}: not readable predictions ({type(error).__name__})") from error
    if not all(_fits(predictions, part) for part in ("validation", "test")):
        raise DamagedError(f"{path}: not readable predictions (arrays of wrong shapes or types)")
    return predictions


def content_of(path: Path) -> bytes:
    """A file's bytes. Raises DamagedError where there is no file, UserError where it cannot be read now."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DamagedError(f"{path}: there is no such file") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error


def _fits(predictions: Predictions, part: str) -> bool:
    """Whether ids, groups, targets and logits of a part are arrays of text, whole numbers and floats of one length."""
    ids, groups, targets, logits = (
        getattr(predictions, f"{part}_{name}") for name in ("ids", "groups", "targets", "logits")
    )
    kinds = ids.dtype.kind, groups.dtype.kind, targets.dtype.kind, logits.dtype.kind
    shapes = ids.ndim, groups.ndim, targets.ndim, logits.ndim
    lengths = {len(array) for array in (ids, groups, targets, logits)} if 0 not in shapes else {0, 1}
    return kinds == ("U", "U", "i", "f") and shapes == (1, 1, 1, 2) and len(lengths) == 1 and logits.shape[1] > 0


def slug(name: str) -> str:
    """A folder name: letters, digits, ``_``, ``.`` and ``-``, never hidden or empty."""
    return re.sub(r"[^\w.-]+", "--", name).lstrip(".") or "unnamed"
