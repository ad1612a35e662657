"""Upkeep of results trees: merge, prune, migrate. Each says what it did, one line per change; runs are never lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from petl_bench.errors import UserError
from petl_bench.files import write_atomically
from petl_bench.results import FAILED, UNFINISHED, NewerRecordError, ResultsTree, read_predictions, read_record


def merge(source: ResultsTree, target: ResultsTree, *, dry_run: bool = False) -> list[str]:
    """Copy the runs of ``source`` that ``target`` lacks; what is there stays. Damaged runs are not copied.

    Failures of runs that ``target`` holds no failure of come along.
    """
    if not dry_run:
        target.prepare()
    lines, filed = [], target.run_folders()
    for key, folder in source.run_folders().items():
        if key in filed:
            continue
        try:
            record = read_record(folder)
            read_predictions(folder)
        except NewerRecordError as error:
            lines.append(f"not copied: {error}")
            continue
        except UserError as error:
            lines.append(f"not copied, damaged: {error}")
            continue
        lines.append(f"run {key} from {source.root}")
        if not dry_run:
            _copy_whole(folder, target.folder_of(record), target.root / UNFINISHED)
    known = target.failures()
    for key, path in source.failures().items():
        if key not in known and key not in filed:
            lines.append(f"failure {path.name} from {source.root}")
            if not dry_run:
                write_atomically(target.root / FAILED / path.name, path.read_bytes())
    return lines


def prune(tree: ResultsTree, *, dry_run: bool = False) -> list[str]:
    """Delete what no reader needs: unfinished runs, damaged records, failures of runs that have finished since.

    Records of a newer petl-bench stay.
    """
    doomed: list[tuple[str, Path]] = [("unfinished", path) for path in sorted((tree.root / UNFINISHED).glob("*"))]
    finished = set()
    for key, folder in tree.run_folders().items():
        try:
            read_record(folder)
            read_predictions(folder)
            finished.add(key)
        except NewerRecordError:
            continue
        except UserError:
            doomed.append(("damaged", folder))
    for path in sorted((tree.root / FAILED).glob("*.json")):
        if path.name.partition(".")[0] in finished:
            doomed.append(("made up for", path))
    for _, path in [] if dry_run else doomed:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [f"{why}: {path}" for why, path in doomed]


def migrate(tree: ResultsTree, *, dry_run: bool = False) -> list[str]:
    """Rewrite records that this version would write otherwise, and move runs that are filed under other names."""
    lines = []
    for key, folder in tree.run_folders().items():
        try:
            record = read_record(folder)
        except UserError as error:
            lines.append(f"left alone: {error}")
            continue
        text = (record.model_dump_json(indent=2) + "\n").encode()
        if (folder / "run.json").read_bytes() != text:
            lines.append(f"rewritten: {folder / 'run.json'}")
            if not dry_run:
                write_atomically(folder / "run.json", text)
        if (there := tree.folder_of(record)) != folder and not there.exists():
            lines.append(f"moved: {key} to {there}")
            if not dry_run:
                there.parent.mkdir(parents=True, exist_ok=True)
                os.rename(folder, there)
    return lines


def _copy_whole(folder: Path, target: Path, unfinished: Path) -> None:
    """Copy a run folder so that it exists whole or not at all; another process may have filed it first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=unfinished))
    try:
        shutil.copytree(folder, temporary / "new")
        if not (target / "run.json").exists():
            os.rename(temporary / "new", target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
