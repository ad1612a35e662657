"""What tables and tests need of every run of a results tree, kept in one disposable file. Free of torch.

A tree of thousands of runs is read once; after that only runs that changed are. The index may be deleted at any time,
and a tree that cannot be written to is read without one.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from petl_bench.canonical import digest
from petl_bench.errors import UserError
from petl_bench.results import Predictions, ResultsTree, RunRecord, read_predictions, read_record

FILE = ".index.sqlite"
LAYOUT = 1
"""Bumped when what the index holds changes: an older one is made anew."""

TABLES = """
CREATE TABLE runs (key TEXT PRIMARY KEY, stamp TEXT, record TEXT, clips TEXT, predicted BLOB);
CREATE TABLE clips (digest TEXT PRIMARY KEY, ids TEXT, sources TEXT, targets BLOB);
"""
NOT_FINITE = -1
"""In place of a predicted class where a logit is not finite."""


@dataclass(frozen=True)
class Clips:
    """Test clips of a run, ``[clips]`` each; runs on one fold share them."""

    ids: npt.NDArray[np.str_]
    sources: npt.NDArray[np.str_]
    targets: npt.NDArray[np.int64]


@dataclass(frozen=True)
class IndexedRun:
    """A run without its logits: the record, the test clips and the class predicted for each, ``[clips]``."""

    record: RunRecord
    clips: Clips
    predicted: npt.NDArray[np.int64]


def read_runs(tree: ResultsTree) -> tuple[list[IndexedRun], list[str]]:
    """Every readable run of a tree, in the order of the run keys, and a line for each that is not."""
    folders = tree.run_folders()
    with closing(_open(tree.root)) as index:
        problems = _update(index, folders)
        clips = {
            name: Clips(np.array(ids.split("\n")), np.array(sources.split("\n")), np.frombuffer(targets, np.int64))
            for name, ids, sources, targets in index.execute("SELECT digest, ids, sources, targets FROM clips")
        }
        runs = [
            IndexedRun(
                RunRecord.model_validate_json(record),
                clips[of_clips],
                np.frombuffer(zlib.decompress(predicted), np.int16).astype(np.int64),
            )
            for key, record, of_clips, predicted in index.execute("SELECT key, record, clips, predicted FROM runs")
            if key in folders
        ]
    return sorted(runs, key=lambda run: run.record.run_info.run_key), problems


def _open(root: Path) -> sqlite3.Connection:
    """The tree's index, emptied where it is damaged or of another layout; in memory where the tree is read-only."""
    path = root / FILE
    for attempt in (1, 2):
        try:
            index = sqlite3.connect(path, timeout=60)
            if index.execute("PRAGMA user_version").fetchone()[0] == LAYOUT:
                index.execute("SELECT key FROM runs LIMIT 1")
                return index
            index.executescript(f"DROP TABLE IF EXISTS runs; DROP TABLE IF EXISTS clips; {TABLES}")
            index.execute(f"PRAGMA user_version = {LAYOUT}")
            index.commit()
            return index
        except sqlite3.DatabaseError as error:
            if attempt == 2 or isinstance(error, sqlite3.OperationalError):
                break
            path.unlink(missing_ok=True)
    index = sqlite3.connect(":memory:")
    index.executescript(TABLES)
    return index


def _update(index: sqlite3.Connection, folders: dict[str, Path]) -> list[str]:
    """Bring the index up to the tree. Returns a line for every run that cannot be read."""
    known = dict(index.execute("SELECT key, stamp FROM runs"))
    problems = []
    index.executemany("DELETE FROM runs WHERE key = ?", [(key,) for key in known.keys() - folders.keys()])
    for key, folder in folders.items():
        stamp = _stamp(folder)
        if known.get(key) == stamp:
            continue
        index.execute("DELETE FROM runs WHERE key = ?", (key,))
        try:
            record = read_record(folder)
            name, clips, predicted = _rows_of(folder, read_predictions(folder))
        except UserError as error:
            problems.append(str(error))
        else:
            index.execute("INSERT OR IGNORE INTO clips VALUES (?, ?, ?, ?)", (name, *clips))
            index.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?)", (key, stamp, record.model_dump_json(), name, predicted)
            )
    index.execute("DELETE FROM clips WHERE digest NOT IN (SELECT clips FROM runs)")
    index.commit()
    return problems


def _rows_of(folder: Path, predictions: Predictions) -> tuple[str, tuple[str, str, bytes], bytes]:
    """Digest and columns of the clips, and the predicted classes. Raises UserError where lengths differ."""
    ids, sources = (_lines(names) for names in (predictions.test_ids, predictions.test_groups))
    targets = predictions.test_targets.astype(np.int64).tobytes()
    predicted = predictions.test_logits.argmax(axis=1)
    predicted[~np.isfinite(predictions.test_logits).all(axis=1)] = NOT_FINITE
    if not len(ids) == len(sources) == len(predictions.test_targets) == len(predicted) > 0:
        raise UserError(f"{folder / 'predictions.npz'}: no clips, or arrays of different lengths")
    clips = ("\n".join(ids), "\n".join(sources), targets)
    return digest([*clips[:2], targets.hex()]), clips, zlib.compress(predicted.astype(np.int16).tobytes(), 1)


def _lines(names: Iterable[str]) -> list[str]:
    return [str(name).replace("\n", " ") for name in names]


def _stamp(folder: Path) -> str:
    """Changes when a run's files do."""
    parts = []
    for name in ("run.json", "predictions.npz"):
        try:
            status = (folder / name).stat()
            parts.append(f"{status.st_mtime_ns}:{status.st_size}")
        except OSError:
            parts.append("none")
    return " ".join(parts)
