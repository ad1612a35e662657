"""Workbench: what many runs share, loaded once: the data set, its features, the backbone, the device."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.resolve import BackboneSource, resolve
from petl_bench.backbones.untouched import untouched_layers
from petl_bench.benchmarks.augment import clip_numbers
from petl_bench.benchmarks.clip_table import ClipTable
from petl_bench.benchmarks.dataset import Dataset, open_dataset
from petl_bench.benchmarks.features import Progress, features_of
from petl_bench.benchmarks.split_checks import split_problems
from petl_bench.benchmarks.splits import Split, split
from petl_bench.cards import Augment, BenchmarkCard, Features
from petl_bench.locations import data_folder
from petl_bench.plan import Choice, Plan, Request, Subject, make_plan, model_input
from petl_bench.runspec import ModelInput, RunSpec
from petl_bench.switches import Switches

if TYPE_CHECKING:
    from collections.abc import Hashable


STATISTICS_CLIPS = 256
"""Clips that are in memory at a time while their values are summed up."""


class Opening(BaseModel):
    """What a workbench is opened with, in every process anew."""

    model_config = ConfigDict(frozen=True)

    benchmark: str
    card: BenchmarkCard
    data_dir: Path | None = None
    limit: int | None = None
    allow_pickle: bool = False


def opening_of(request: Request, choice: Choice) -> Opening:
    """What a request's workbench is opened with."""
    return Opening(
        benchmark=choice.benchmark,
        card=choice.card,
        data_dir=request.data_dir,
        limit=request.limit,
        allow_pickle=request.allow_pickle,
    )


@dataclass
class Workbench:
    """Loaded things, by what identifies them. A resident worker keeps one for all its runs."""

    opening: Opening
    dataset: Dataset
    source: BackboneSource
    device: torch.device
    tables: dict[Path, ClipTable | None] = field(default_factory=dict)
    """Frozen states that are open, by file: a clip is compared when it is first used in a process. None: no room."""
    _kept: dict[Hashable, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, opening: Opening, device: str) -> Workbench:
        """Find the data set and the backbone and check them; nothing large is loaded yet."""
        folder = data_folder(opening.benchmark, opening.data_dir, opening.card.folder)
        dataset = open_dataset(opening.benchmark, opening.card, folder, opening.limit)
        return cls(opening, dataset, resolve(opening.card.backbone, opening.allow_pickle), torch.device(device))

    @property
    def subject(self) -> Subject:
        """What the planner must know."""
        return Subject(
            data_fingerprint=self.dataset.fingerprint,
            class_count=len(self.dataset.class_names),
            backbone=self.source.label,
            backbone_fingerprint=self.source.description.fingerprint,
            geometry=self.source.description.geometry,
        )

    def notes(self) -> list[str]:
        """What must stand under every table made here; what showed when clips were read, the records say."""
        notes = [*self.dataset.notes(), *self.notes_on_input()]
        if self.dataset.limit is None:
            notes += split_problems(self.dataset, self.opening.card.protocol)
        if self.source.description.note:
            notes.append(f"backbone {self.source.label}: {self.source.description.note}")
        return notes

    def notes_on_input(self) -> list[str]:
        """What of the benchmark's card the backbone's kind of input leaves without a meaning."""
        if self.source.description.geometry.input == "log_mel" or self.opening.card.augment == Augment():
            return []
        return [f"backbone {self.source.label} takes waveforms: the SpecAugment of {self.opening.benchmark} is off"]

    @property
    def model_input(self) -> ModelInput:
        """What the backbone is given of the benchmark's clips."""
        return model_input(self.opening.card, Switches(), self.source.description.geometry)[0]

    def features(self, features: ModelInput, progress: Progress | None = None) -> ClipTable:
        """Log-mel ``[clips, frames, bins]`` or waveforms ``[clips, samples]``, memory-mapped, not normalised."""
        key = ("features", features.frames, features.bins)
        if key not in self._kept:
            self._kept[key] = features_of(self.dataset, features, progress)
        kept: ClipTable = self._kept[key]
        return kept

    def statistics(self, features: Features, fold: int, clips: npt.NDArray[np.int64]) -> tuple[float, float]:
        """Mean and standard deviation of the log-mel values (frames of padding too) of the fold's training clips."""
        key = ("statistics", features.frames, features.bins, fold, clips.tobytes())
        if key not in self._kept:
            table = self.features(features)
            sums = np.zeros(2)
            for start in range(0, len(clips), STATISTICS_CLIPS):
                values = table[clips[start : start + STATISTICS_CLIPS]].astype(np.float64)
                sums += values.sum(), np.square(values).sum()
            mean, square = sums / (len(clips) * features.frames * features.bins)
            self._kept[key] = (float(mean), float(np.sqrt(square - mean**2)))
        kept: tuple[float, float] = self._kept[key]
        return kept

    def clip_numbers(self) -> npt.NDArray[np.uint64]:
        """Every clip's number for augmentation, ``[clips]``."""
        if "clip_numbers" not in self._kept:
            self._kept["clip_numbers"] = clip_numbers(self.dataset.ids)
        kept: npt.NDArray[np.uint64] = self._kept["clip_numbers"]
        return kept

    def backbone(self, spec: RunSpec) -> Backbone:
        """The resident backbone for inputs of the run's length, in its loaded state."""
        key = ("backbone", spec.data.features.frames, spec.switches.position_embeddings)
        if key not in self._kept:
            loaded = self.source.cls.load(self.source.folder, key[1], key[2])
            self._kept[key] = loaded.to(self.device)
            self._kept["condition", key] = self._kept[key].condition()
        kept: Backbone = self._kept[key]
        return kept

    def untouched_layers(self, backbone: Backbone) -> int:
        """How many layers of a resident backbone, counted from the input, its method left as they were loaded."""
        return untouched_layers(backbone, self._kept["condition", self._key(backbone)])

    def give_back(self, backbone: Backbone) -> list[str]:
        """Keep a detached backbone for the next run, or drop it where a method left it changed: then, what is."""
        key = self._key(backbone)
        loaded, now = self._kept["condition", key], backbone.condition()
        changed = [name or "the backbone" for name in loaded.keys() | now.keys() if loaded.get(name) != now.get(name)]
        if changed:
            del self._kept[key]
        return sorted(changed)

    def _key(self, backbone: Backbone) -> Hashable:
        return next(key for key, kept in self._kept.items() if kept is backbone)

    def unload(self) -> None:
        """Let go of loaded backbones, where other processes do the training."""
        for key in [key for key in self._kept if isinstance(key, tuple) and key[0] in ("backbone", "condition")]:
            del self._kept[key]

    def split(self, spec: RunSpec) -> Split:
        return split(self.dataset, spec.data.protocol, spec.fold, spec.seed)


def open_plan(request: Request, choice: Choice, device: str) -> tuple[Plan, Workbench]:
    """The runs of a request, and the workbench that they are trained on. Raises UserError."""
    workbench = Workbench.open(opening_of(request, choice), device)
    return make_plan(request, choice, workbench.subject), workbench
