"""Make a study's folder from the template, and a table of clips from folders of audio."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Template

from petl_bench.card_files import Kind, built_in_folder
from petl_bench.errors import UserError
from petl_bench.registry import BACKBONES

TEMPLATE = Path(__file__).parent / "template"
SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".sph", ".w64", ".rf64"}
)
NAMED: tuple[Kind, ...] = ("benchmarks", "methods")
FRAMES = 500
MOST_FRAMES = 1024
"""What AST was pretrained with: longer clips are cut."""
ENOUGH = 50
"""Clips per label of which a tenth of four folds is enough to choose epochs by; fewer, and a whole fold is taken."""
VALIDATION = {
    False: {"validation": "held_out", "validates": "a tenth of the other clips"},
    True: {"validation": "previous_fold", "validates": "the fold before (labels have few clips)"},
}
"""By whether some label has fewer clips than ENOUGH."""


def make_study(folder: Path, clips: Path | None) -> list[Path]:
    """Write the study's files, none of which may be there yet; with ``clips``, its table of audio files by label.

    ``clips`` holds a folder per label. It is left as it is: the study's data folder has a link to it. Returns the files
    written. Raises UserError.
    """
    name = study_name(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already and not empty; name a new folder")
    table = None if clips is None else list(labelled(clips))
    values = {"name": name, "title": name.replace("-", " ").replace("_", " "), "frames": FRAMES, **VALIDATION[False]}
    if table is not None and clips is not None:
        values["frames"] = frames_of([clips / path for path, _ in table])
        values |= VALIDATION[min(Counter(label for _, label in table).values()) < ENOUGH]
    written = []
    for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        target = folder / source.relative_to(TEMPLATE).with_name(source.name.replace("NAME", name))
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text("utf-8")
        target.write_text(text if source.suffix == ".py" else Template(text).substitute(values), encoding="utf-8")
        written.append(target)
    data = folder / "data" / name
    data.mkdir(parents=True)
    with (data / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["path", "label"])
        rows.writerows((f"audio/{path.as_posix()}", label) for path, label in table or ())
    if clips is not None:
        (data / "audio").symlink_to(clips.resolve(), target_is_directory=True)
    return [*written, data / "clips.csv"]


def study_name(folder: Path) -> str:
    """What the study's benchmark is called. Raises UserError where the folder's name cannot be a card's."""
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(f"{folder}: a study's name has letters, digits, '.', '_' and '-', as in bird-calls")
    if name.endswith((".toml", ".py")):
        raise UserError(f"{folder}: a study's name does not end as a file's: leave {Path(name).suffix} away")
    taken: dict[str, list[str]] = {kind: [file.stem for file in built_in_folder(kind).glob("*.toml")] for kind in NAMED}
    for kind, names in {**taken, "backbones": BACKBONES.names()}.items():
        if name in names:
            raise UserError(f"{folder}: {name} is one of the built-in {kind}: give the study a name of its own")
    return name


def labelled(clips: Path) -> Iterator[tuple[Path, str]]:
    """Audio files below a folder, relative to it, with the name of the first folder on the way as label.

    Raises UserError where there are none, or fewer than two labels.
    """
    if not clips.is_dir():
        raise UserError(f"--clips {clips}: there is no such folder")
    found = sorted(
        path.relative_to(clips) for path in clips.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if outside := [path for path in found if len(path.parts) == 1]:
        raise UserError(
            f"--clips {clips}: {outside[0]} is in no label's folder; give LABEL/clip.wav, a folder per label"
        )
    labels = sorted({path.parts[0] for path in found})
    if len(labels) < 2:
        there = f", all in {labels[0]}, which would be their one label" if labels else ""
        raise UserError(f"--clips {clips}: {len(found)} audio files{there}; give a folder per label, two or more")
    yield from ((path, path.parts[0]) for path in found)


def frames_of(paths: list[Path]) -> int:
    """Frames of 10 ms that hold the longest clip but for half of one, as far as AST's pretraining goes.

    Files that cannot be read count for nothing.
    """
    import soundfile

    longest = 0.0
    for path in paths:
        try:
            longest = max(longest, soundfile.info(path).duration)
        except RuntimeError:
            continue  # data verify names it
    return min(MOST_FRAMES, max(16, round(100 * longest))) if longest else FRAMES
