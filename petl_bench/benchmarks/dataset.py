"""A data set as petl-bench sees it: clips with labels, folds and groups, a way to read them, and a fingerprint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from petl_bench.benchmarks.fingerprint import content_hashes
from petl_bench.canonical import digest
from petl_bench.cards import BenchmarkCard
from petl_bench.errors import UserError, nearest
from petl_bench.registry import LAYOUTS
from petl_bench.seeds import derive_seed

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Clip:
    """One recording. ``id`` is unique and free of machine paths; clips of one origin share ``group``.

    ``fold`` (from 1) or ``part`` says where the data set's own partition puts the clip.
    """

    id: str
    label: str
    group: str
    fold: int | None = None
    part: Part | None = None


class Layout(ABC):
    """How a data set lies on disk. ``folder`` is where the user's copy is."""

    folds: int = 1
    """Number of folds the data set defines; 1 where it has lists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def scan(self) -> list[Clip]:
        """All clips, in an order no machine changes. Raises MissingDataError where there is nothing."""

    @abstractmethod
    def read(self, clip: Clip) -> tuple[npt.NDArray[np.float32], int]:
        """Samples ``[channels, samples]`` in [-1, 1] and the sampling rate in Hz. Raises UserError, clip named."""

    @abstractmethod
    def content_hashes(self, clips: Iterable[Clip]) -> list[str]:
        """A hash of every clip's content."""

    def class_order(self, labels: set[str]) -> list[str]:
        """Class names in label order; alphabetical unless the data set has its own."""
        return sorted(labels)


class MissingDataError(Exception):
    """A layout found nothing of its kind in a folder; the message says what it looked for."""


class FileLayout(Layout):
    """A layout whose clips are audio files below the folder."""

    @abstractmethod
    def path(self, clip: Clip) -> Path:
        """The clip's file."""

    def read(self, clip: Clip) -> tuple[npt.NDArray[np.float32], int]:
        from petl_bench.benchmarks.audio import read_audio

        return read_audio(self.path(clip))

    def content_hashes(self, clips: Iterable[Clip]) -> list[str]:
        return content_hashes(self.folder, [self.path(clip) for clip in clips])


@dataclass(frozen=True)
class Dataset:
    """Clips with their classes, compacted to 0..C-1 in ``class_names`` order."""

    name: str
    clips: tuple[Clip, ...]
    class_names: tuple[str, ...]
    fingerprint: str
    layout: Layout

    @cached_property
    def targets(self) -> npt.NDArray[np.int64]:
        """Class index of every clip, ``[clips]``."""
        index = {name: position for position, name in enumerate(self.class_names)}
        return np.array([index[clip.label] for clip in self.clips], dtype=np.int64)

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        return np.array([clip.id for clip in self.clips])

    @cached_property
    def groups(self) -> npt.NDArray[np.str_]:
        return np.array([clip.group for clip in self.clips])

    def notes(self) -> list[str]:
        """What a reader must know of the partition: groups that the data set's own folds or lists part."""
        places: dict[str, set[Any]] = defaultdict(set)
        for clip in self.clips:
            places[clip.group].add(clip.fold if clip.part is None else clip.part)
        parted = sorted(group for group, found in places.items() if len(found) > 1)
        if not parted:
            return []
        shown = ", ".join(parted[:4]) + (", ..." if len(parted) > 4 else "")
        return [f"{self.name}: clips of {len(parted)} of {len(places)} groups stand in more than one fold or list of "
                f"the data set itself ({shown})"]  # fmt: skip


def open_dataset(name: str, card: BenchmarkCard, folder: Path, limit: int | None = None) -> Dataset:
    """Scan ``folder``, keep the card's classes and at most ``limit`` clips per class in every fold or list.

    Raises UserError where data is absent or is not what the card says.
    """
    layout: Layout = LAYOUTS.load(card.layout).cls(folder)
    try:
        clips = layout.scan()
    except MissingDataError as error:
        raise UserError(f"{name}: {error}; {_how_to_get(card)}") from error
    labels = {clip.label for clip in clips}
    if card.classes is not None:
        for wanted in card.classes:
            if wanted not in labels:
                raise UserError(f"{name}: no clips of class '{wanted}' in {folder}{nearest(wanted, labels)}")
        labels = set(card.classes)
        clips = [clip for clip in clips if clip.label in labels]
    if card.class_count is not None and len(labels) != card.class_count:
        raise UserError(f"{name}: {folder} holds {len(labels)} classes, the card says {card.class_count}")
    if len(labels) < 2:
        raise UserError(f"{name}: {len(labels)} class in {folder}: at least 2 are needed")
    if card.protocol.folds != layout.folds:
        raise UserError(f"{name}: protocol.folds = {card.protocol.folds}, but the data set defines {layout.folds}")
    if limit is not None:
        clips = _limited(clips, limit, card.protocol.split_seed)
    class_names = layout.class_order(labels)
    hashes = layout.content_hashes(clips)
    rows = [[c.id, c.label, c.group, c.fold, c.part, content] for c, content in zip(clips, hashes, strict=True)]
    return Dataset(name, tuple(clips), tuple(class_names), digest([class_names, rows]), layout)


def _limited(clips: list[Clip], limit: int, split_seed: int) -> list[Clip]:
    """At most ``limit`` clips of each class in each fold or list, drawn by a hash of clip id and ``split_seed``."""
    kept: set[str] = set()
    taken: Counter[tuple[Any, ...]] = Counter()
    for clip in sorted(clips, key=lambda clip: derive_seed("limit", split_seed, clip.id)):
        cell = (clip.label, clip.fold, clip.part)
        if taken[cell] < limit:
            taken[cell] += 1
            kept.add(clip.id)
    return [replace(clip) for clip in clips if clip.id in kept]


def _how_to_get(card: BenchmarkCard) -> str:
    where = "give its folder with --data-dir, or set PETL_BENCH_DATA to the folder that holds it"
    return f"{where}; get it from {card.download.url}" if card.download else where
