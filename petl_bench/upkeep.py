"""Upkeep of results trees: merge, prune, migrate. Each says what it did, one line per change; runs are never lost."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from petl_bench.adapters.saved import read_adapter
from petl_bench.errors import UserError
from petl_bench.files import write_atomically
from petl_bench.index import predicted_classes
from petl_bench.profiling.profiles import FOLDER as PROFILES
from petl_bench.profiling.profiles import read_profiles, write_profile
from petl_bench.records import DamagedError, read_predictions, read_record
from petl_bench.results import ADAPTER, CHECKPOINTS, FAILED, UNFINISHED, ResultsTree, write_predictions

ABANDONED_AFTER = 24 * 3600
"""Seconds after which an unfinished run's folder is nobody's any more."""


@dataclass
class Done:
    """What was changed (or would be), and what was left as it is and why; a line each."""

    changes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def merge(source: ResultsTree, target: ResultsTree, *, compact: bool = False, dry_run: bool = False) -> Done:
    """Copy the runs of ``source`` that ``target`` lacks or holds damaged; what is readable there stays.

    Adapters come with their runs, but for damaged ones; ``compact`` copies leave them behind, and have logits in half
    precision. Failures come along where neither tree has finished their run and ``target`` knows of none, profiles
    where ``target`` has none of their configuration.
    """
    done = Done()
    if not dry_run:
        target.prepare()
    filed, finished = target.run_folders(), set()
    for folder in source.run_folders().values():
        try:
            record = read_record(folder)
            read_predictions(folder)
        except UserError as error:
            done.remarks.append(f"not copied: {error}")
            continue
        key = record.run_info.run_key
        finished.add(key)
        if key in filed and not _is_damaged(filed[key]):
            continue
        try:
            problem = "" if compact else damage_of_adapter(folder)
        except UserError as error:
            done.remarks.append(f"not copied: {error}")
            continue
        replaced = filed.get(key)
        done.changes.append(f"run {key} from {source.root}" + (f", replacing a damaged {replaced}" if replaced else ""))
        filed[key] = folder
        if problem:
            done.remarks.append(f"not copied: {problem}")
        if not dry_run:
            without = (ADAPTER,) if problem or compact else ()
            place = target.folder_of(record)
            _copy_whole(folder, place, replaced, target.root / UNFINISHED, without, compact=compact)
    known = target.failures()
    for key, path in source.failures().items():
        if key not in known and key not in filed and key not in finished:
            done.changes.append(f"failure {path.name} from {source.root}")
            if not dry_run:
                write_atomically(target.root / FAILED / path.name, path.read_bytes())
    _merge_profiles(source, target, done, dry_run=dry_run)
    return done


def _merge_profiles(source: ResultsTree, target: ResultsTree, done: Done, *, dry_run: bool) -> None:
    there, _ = read_profiles(target.root)
    profiles, problems = read_profiles(source.root)
    done.remarks += [f"not copied: {problem}" for problem in problems]
    for key, profile in profiles.items():
        if key not in there:
            done.changes.append(f"profile {key} from {source.root}")
            if not dry_run:
                write_profile(target.root, profile)


def prune(tree: ResultsTree, *, dry_run: bool = False) -> Done:
    """Delete what no reader needs: what was abandoned, damaged runs and adapters, what finished runs made up for.

    What a newer petl-bench wrote stays, and what cannot be read now.
    """
    now = time.time()
    doomed = [
        ("abandoned", path)
        for pattern in (f"{UNFINISHED}/*", f"{CHECKPOINTS}/.*", f"{FAILED}/.*", f"{PROFILES}/.*")
        for path in sorted(tree.root.glob(pattern))
        if now - path.lstat().st_mtime > ABANDONED_AFTER
    ]
    finished, done = set(), Done()
    for key, folder in tree.run_folders().items():
        try:
            read_record(folder)
            read_predictions(folder)
            finished.add(key)
            if damage_of_adapter(folder):
                doomed.append(("damaged", folder / ADAPTER))
        except DamagedError:
            doomed.append(("damaged", folder))
        except UserError as error:
            done.remarks.append(f"left alone: {error}")
    doomed += [("abandoned", path) for path in tree.claims.left_over()]
    doomed += [("made up for", path) for path in tree.checkpoints() if path.stem in finished]
    for path in sorted((tree.root / FAILED).glob("*.json")):
        key, _, number = path.stem.partition(".")
        if key in finished and number.isdigit():
            doomed.append(("made up for", path))
    for why, path in doomed:
        done.changes.append(f"{why}: {path}")
        if not dry_run:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    return done


def problems_of(tree: ResultsTree) -> list[tuple[Path, list[str]]]:
    """Every run folder of a tree with a line for each of its files that cannot be read, adapters included."""
    return [(folder, problems_of_run(folder)) for folder in tree.run_folders().values()]


def problems_of_run(folder: Path) -> list[str]:
    """A line for each file of a run's folder that cannot be read."""
    problems = []
    for read in (read_record, read_predictions, _check_adapter):
        try:
            read(folder)
        except UserError as error:
            problems.append(str(error))
    return problems


def _check_adapter(run: Path) -> None:
    """Raises as ``read_adapter`` where the adapter in a run's folder cannot be read."""
    if (run / ADAPTER).exists():
        read_adapter(run / ADAPTER)


def damage_of_adapter(run: Path) -> str:
    """What is damaged of the adapter in a run's folder; empty where nothing is, or where there is none.

    Raises UserError where a later version wrote it, or it cannot be read now.
    """
    try:
        _check_adapter(run)
    except DamagedError as error:
        return str(error)
    return ""


def migrate(tree: ResultsTree, *, dry_run: bool = False) -> Done:
    """Rewrite records that this version would write otherwise, and move runs that are filed under other names.

    Keys that this version does not know stay in the record.
    """
    done = Done()
    for key, folder in tree.run_folders().items():
        try:
            record = read_record(folder)
        except UserError as error:
            done.remarks.append(f"left alone: {error}")
            continue
        before = (folder / "run.json").read_bytes()
        known = record.model_dump(mode="json")
        text = (json.dumps(_updated(json.loads(before), known), indent=2, ensure_ascii=False) + "\n").encode()
        if json.loads(before) != json.loads(text):
            done.changes.append(f"rewritten: {folder / 'run.json'}")
            if not dry_run:
                write_atomically(folder / "run.json", text)
        if (there := tree.folder_of(record)) != folder and not there.exists():
            done.changes.append(f"moved: {key} to {there}")
            if not dry_run:
                there.parent.mkdir(parents=True, exist_ok=True)
                os.rename(folder, there)
    return done


def _updated(old: Any, new: Any) -> Any:
    """``new`` with what only ``old`` has, table by table."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _updated(old.get(key), value) for key, value in new.items()}}
    return new


def _is_damaged(folder: Path) -> bool:
    try:
        read_record(folder)
        read_predictions(folder)
    except UserError as error:
        return isinstance(error, DamagedError)
    return False


def _make_compact(folder: Path) -> None:
    """Store a run's logits in half precision and have its record say so; not where a predicted class would change."""
    before = read_predictions(folder)
    with np.errstate(over="ignore"):
        halves = {part: getattr(before, part).astype(np.float16) for part in ("validation_logits", "test_logits")}
    if any((predicted_classes(getattr(before, p)) != predicted_classes(half)).any() for p, half in halves.items()):
        return
    write_predictions(folder, replace(before, **halves))
    data = json.loads((folder / "run.json").read_bytes())
    data["run_info"]["logits"] = "float16"
    write_atomically(folder / "run.json", (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())


def _copy_whole(
    folder: Path,
    target: Path,
    replaced: Path | None,
    unfinished: Path,
    without: tuple[str, ...] = (),
    *,
    compact: bool = False,
) -> None:
    """Copy a run folder ``without`` some of it, whole or not at all; another process may have filed it first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=unfinished))
    try:
        shutil.copytree(folder, temporary / "new", ignore=shutil.ignore_patterns(*without))
        if compact:
            _make_compact(temporary / "new")
        for place in (replaced, target if target.exists() and not (target / "run.json").exists() else None):
            if place is not None:
                with suppress(FileNotFoundError):
                    os.rename(place, temporary / f"old-{place.parent.name}")
        if not target.exists():
            os.rename(temporary / "new", target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
