"""A data set as petl-bench sees it: clips with labels, folds and groups, a way to read them, and a fingerprint."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from petl_bench.benchmarks.drawn_folds import draw_folds
from petl_bench.benchmarks.fingerprint import content_hashes
from petl_bench.canonical import digest
from petl_bench.cards import BenchmarkCard, Protocol
from petl_bench.errors import AbsentError, UserError, nearest
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

    folds: int | None = 1
    """Number of folds the data set defines; 1 where it has lists, None where that is the user's to say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def scan(self) -> list[Clip]:
        """All clips, in an order no machine changes. Raises MissingDataError where there is nothing."""

    @abstractmethod
    def read(self, clip: Clip, seconds: float | None = None) -> tuple[npt.NDArray[np.float32], int]:
        """Samples ``[channels, samples]`` in [-1, 1] and the sampling rate in Hz. Raises UserError, clip named.

        What lies a second and more beyond ``seconds`` may be left out.
        """

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

    def path(self, clip: Clip) -> Path:
        """The clip's file: its id is the path below the folder, unless a layout says otherwise."""
        return self.folder / clip.id

    def file(self, clip: Clip) -> Path:
        """The clip's file, which may or may not be there. Raises UserError where its name leads out of the folder.

        A table that comes from elsewhere must not name what is elsewhere. Links are followed: only the folder's owner
        makes them, no archive that is unpacked here holds one.
        """
        path = self.path(clip)
        named, folder = os.path.normpath(path), os.path.normpath(self.folder)
        if "\0" in named or not Path(named).is_relative_to(folder) or named == folder:
            raise UserError(
                f"{str(path)[:200]!r} leads out of {self.folder}: clips must be in the data set's folder; give the "
                "folder that holds them with --data-dir"
            )
        return path

    def read(self, clip: Clip, seconds: float | None = None) -> tuple[npt.NDArray[np.float32], int]:
        from petl_bench.benchmarks.audio import read_audio

        return read_audio(self.file(clip), seconds)

    def content_hashes(self, clips: Iterable[Clip]) -> list[str]:
        return content_hashes(self.folder, [self.file(clip) for clip in clips])


@dataclass(frozen=True)
class Dataset:
    """Clips with their classes, compacted to 0..C-1 in ``class_names`` order."""

    name: str
    clips: tuple[Clip, ...]
    class_names: tuple[str, ...]
    fingerprint: str
    layout: Layout
    limit: int | None = None
    """Clips per class in every fold or list, where that left some out."""
    clip_count: int | None = None
    """Clips the card expects."""

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
        """What a reader must know: clips that are missing, groups that the data set's own folds or lists part."""
        notes = []
        if self.clip_count not in (None, len(self.clips)) and self.limit is None:
            notes.append(f"{self.name}: {len(self.clips):,} clips, the card says {self.clip_count:,}: results are not "
                         "those of the whole data set")  # fmt: skip
        parted = parted_groups(self.clips)
        if parted:
            shown = ", ".join(parted[:4]) + (", ..." if len(parted) > 4 else "")
            notes.append(f"{self.name}: clips of {len(parted)} of {len(set(self.groups))} groups stand in more than "
                         f"one fold or list of the data set itself ({shown})")  # fmt: skip
        return notes


def parted_groups(clips: Sequence[Clip]) -> list[str]:
    """Groups of which clips stand in more than one fold or list."""
    places: dict[str, set[Any]] = defaultdict(set)
    for clip in clips:
        places[clip.group].add(clip.fold if clip.part is None else clip.part)
    return sorted(group for group, found in places.items() if len(found) > 1)


def open_dataset(name: str, card: BenchmarkCard, folder: Path, limit: int | None = None) -> Dataset:
    """Scan ``folder``, keep the card's classes and at most ``limit`` clips per class in every fold or list.

    Raises UserError where data is absent or is not what the card says.
    """
    layout, clips = scan_dataset(name, card, folder)
    labels = {clip.label for clip in clips}
    kept = clips if limit is None else _limited(clips, limit, card.protocol.split_seed)
    limit = limit if len(kept) < len(clips) else None
    clips = kept
    class_names = layout.class_order(labels)
    hashes = layout.content_hashes(clips)
    rows = [[c.id, c.label, c.group, c.fold, c.part, content] for c, content in zip(clips, hashes, strict=True)]
    source = LAYOUTS.load(card.layout).source
    fingerprint = digest([class_names, rows, *([source] if source else [])])
    return Dataset(name, tuple(clips), tuple(class_names), fingerprint, layout, limit, card.clip_count)


def scan_dataset(name: str, card: BenchmarkCard, folder: Path) -> tuple[Layout, list[Clip]]:
    """The layout on ``folder`` and the clips of the card's classes, parted as the protocol says; no clip is opened.

    Raises UserError where data is absent or is not what the card says.
    """
    layout: Layout = LAYOUTS.load(card.layout).cls(folder)
    try:
        clips = layout.scan()
    except MissingDataError as error:
        raise AbsentError(f"{name}: {error}; {_how_to_get(name, card)}") from error
    _check_clips(name, clips, layout.folds or card.protocol.folds)
    if layout.folds not in (None, card.protocol.folds):
        raise UserError(f"{name}: protocol.folds = {card.protocol.folds}, but the data set defines {layout.folds}")
    clips = _as_protocol(name, clips, card.protocol)
    labels = {clip.label for clip in clips}
    if card.classes is not None:
        for wanted in card.classes:
            if wanted not in labels:
                raise UserError(f"{name}: no clips of class '{wanted}' in {folder}{nearest(wanted, labels)}")
        labels = set(card.classes)
        clips = [clip for clip in clips if clip.label in labels]
    if card.class_count is not None and len(labels) != card.class_count:
        raise UserError(
            f"{name}: {len(labels)} classes found or chosen, the card says class_count = {card.class_count}"
        )
    if len(labels) < 2:
        raise UserError(f"{name}: {len(labels)} class found or chosen: at least 2 are needed")
    return layout, clips


def _as_protocol(name: str, clips: list[Clip], protocol: Protocol) -> list[Clip]:
    """The clips as the protocol parts them, with folds drawn where they have neither fold nor part of their own."""
    has_parts = any(clip.part is not None for clip in clips)
    if has_parts and protocol.validation != "official":
        raise UserError(
            f"{name}: the clips have splits of their own: set protocol.folds = 1 and protocol.validation = 'official'"
        )
    if not has_parts and protocol.validation == "official":
        raise UserError(f"{name}: the clips have no splits: set protocol.folds, and protocol.validation = 'held_out'")
    if has_parts or all(clip.fold is not None for clip in clips):
        return clips
    return draw_folds(name, clips, protocol)


def _check_clips(name: str, clips: list[Clip], folds: int) -> None:
    """Refuse clips that stand twice or in a fold that the data set does not have."""
    twice = [clip_id for clip_id, count in Counter(clip.id for clip in clips).items() if count > 1]
    if twice:
        raise UserError(f"{name}: {len(twice)} clips are listed more than once, {twice[0]} first")
    for clip in clips:
        if clip.fold is not None and not 1 <= clip.fold <= folds:
            raise UserError(f"{name}: clip {clip.id} is in fold {clip.fold}: the data set has folds 1 to {folds}")


def _limited(clips: list[Clip], limit: int, split_seed: int) -> list[Clip]:
    """At most ``limit`` clips of each class in each fold or list, drawn by a hash of clip id and ``split_seed``."""
    kept: set[str] = set()
    taken: Counter[tuple[Any, ...]] = Counter()
    for clip in sorted(clips, key=lambda clip: derive_seed("limit", split_seed, clip.id)):
        cell = (clip.label, clip.fold, clip.part)
        if taken[cell] < limit:
            taken[cell] += 1
            kept.add(clip.id)
    return [clip for clip in clips if clip.id in kept]


def _how_to_get(name: str, card: BenchmarkCard) -> str:
    where = "give its folder with --data-dir, or set PETL_BENCH_DATA to the folder that holds it"
    if card.download is None:
        return where
    if card.download.archive:
        return f"{where}; petl-bench data get {name} fetches {card.download.archive}"
    return f"{where}; get it from {card.download.url}"
