"""A look through a copy of a data set: every clip read, and what of it a user must know or mend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from petl_bench.benchmarks.acquisition import Progress
from petl_bench.benchmarks.dataset import Clip, Dataset, FileLayout, Layout, parted_groups, scan_dataset
from petl_bench.benchmarks.duplicates import Duplicate, Samples, duplicates
from petl_bench.benchmarks.features import ReadClip, log_mel, read_clip
from petl_bench.benchmarks.landmarks import NO_LANDMARKS, Landmarks, landmarks
from petl_bench.benchmarks.split_checks import split_problems
from petl_bench.cards import RATE, BenchmarkCard
from petl_bench.errors import UserError


@dataclass(frozen=True)
class SameRecording:
    """Two clips, by id, that are one recording: in two groups, or under two labels."""

    first: str
    second: str
    copy: bool
    """The files are equal, byte by byte."""
    similarity: float
    """From 0 to 1."""
    seconds: float
    """How much later the same begins in the second one."""
    where: str
    """Their folds or lists, and their labels where these differ."""


@dataclass
class Inspection:
    """What was found, clips by id."""

    folder: Path
    clips: int = 0
    classes: int = 0
    seconds: float = 0.0
    places: Counter[str] = field(default_factory=Counter)
    """Clips of every fold or list."""
    rates: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)
    longer: list[str] = field(default_factory=list)
    shorter: list[str] = field(default_factory=list)
    expected: int | None = None
    """Clips that the card expects, where there are others."""
    missing: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    """Why a clip cannot be used."""
    parted: list[str] = field(default_factory=list)
    """Groups that stand in more than one fold or list."""
    same: list[SameRecording] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    """Folds that cannot be made, or lack a class somewhere."""

    @property
    def is_well(self) -> bool:
        return not (self.expected or self.missing or self.broken or self.parted or self.same or self.splits)


def inspect(name: str, card: BenchmarkCard, folder: Path, progress: Progress) -> Inspection:
    """Read every clip of the data set in ``folder``. Raises UserError where there is none, or its table is wrong."""
    layout, clips = scan_dataset(name, card, folder)
    report = Inspection(folder, len(clips), len({clip.label for clip in clips}))
    report.places = Counter(map(_place, clips))
    report.expected = card.clip_count if card.clip_count != len(clips) else None
    report.parted = parted_groups(clips)
    labels = layout.class_order({clip.label for clip in clips})
    report.splits = split_problems(Dataset(name, tuple(clips), tuple(labels), "", layout), card.protocol)
    sounding: list[tuple[Clip, Landmarks]] = []
    for done, clip in enumerate(clips, start=1):
        progress("reading", done, len(clips), "clips")
        try:
            if isinstance(layout, FileLayout) and not layout.file(clip).exists():
                report.missing.append(clip.id)
                continue
            read = read_clip(layout, clip, card.features.frames)
            _add(report, layout, clip, read)
            if not read.silent:
                sounding.append((clip, landmarks(log_mel(read.waveform[None])[0].numpy())))
        except UserError as error:
            report.broken[clip.id] = str(error)
    report.same = _same_recordings(layout, card.features.frames, sounding, progress)
    return report


def _add(report: Inspection, layout: Layout, clip: Clip, read: ReadClip) -> None:
    if isinstance(layout, FileLayout):
        report.seconds += soundfile.info(layout.path(clip)).duration
    else:
        report.seconds += len(read.waveform) / RATE
    report.rates[read.rate] += 1
    report.channels[read.channels] += 1
    for kind, holds in ((report.silent, read.silent), (report.longer, read.longer), (report.shorter, read.shorter)):
        if holds:
            kind.append(clip.id)


def _same_recordings(
    layout: Layout, frames: int, sounding: Sequence[tuple[Clip, Landmarks]], progress: Progress
) -> list[SameRecording]:
    """Clips that are one recording though their groups or labels are two; copies of one file first."""
    clips, marks = [clip for clip, _ in sounding], [marks for _, marks in sounding]
    pairs = []
    first_of: dict[str, int] = {}
    for index, content in enumerate(layout.content_hashes(clips) if isinstance(layout, FileLayout) else []):
        first = first_of.setdefault(content, index)
        if first != index:
            marks[index] = NO_LANDMARKS  # its first copy stands for it
            if _origin(clips[first]) != _origin(clips[index]):
                pairs.append(_pair(clips[first], clips[index]))
    numbers: dict[tuple[str, str], int] = {}
    origins = np.array([numbers.setdefault(_origin(clip), len(numbers)) for clip in clips], dtype=np.int64)

    def waveform(index: int) -> Samples:
        samples: Samples = read_clip(layout, clips[index], frames).waveform.numpy()
        return samples

    for found in duplicates(marks, origins, waveform, lambda done, total: progress("comparing", done, total, "pairs")):
        pairs.append(_pair(clips[found.first], clips[found.second], found))
    return pairs


def _pair(first: Clip, second: Clip, found: Duplicate | None = None) -> SameRecording:
    """What is to be said of two clips that were ``found`` to be alike, or that are one file."""
    places = [_place(first), _place(second)]
    where = f"both in {places[0]}" if places[0] == places[1] else f"{places[0]} and {places[1]}"
    if first.label != second.label:
        where += f", labels {first.label} and {second.label}"
    if found is None:
        return SameRecording(first.id, second.id, True, 1.0, 0.0, where)
    return SameRecording(first.id, second.id, False, round(found.similarity, 3), round(found.seconds, 3), where)


def _origin(clip: Clip) -> tuple[str, str]:
    """Clips of one origin may be alike: whatever parts clips keeps them together."""
    return clip.group, clip.label


def _place(clip: Clip) -> str:
    return clip.part or f"fold {clip.fold}"
