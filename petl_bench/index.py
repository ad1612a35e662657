"""What tables and tests need of every run of a results tree, kept in one disposable file. Free of torch.

A tree of thousands of runs is read once; after that only runs that changed are. The index may be deleted at any time,
and a tree that cannot be written to is read without one. Every row is sealed: SQLite would not see a changed byte.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from petl_bench.errors import UserError
from petl_bench.records import Predictions, RunRecord, read_predictions, read_record
from petl_bench.results import ResultsTree

FILE = ".index.sqlite"
BUSY_SECONDS = 60

TABLES = """
CREATE TABLE runs (key TEXT PRIMARY KEY, stamp TEXT, record TEXT, clips TEXT, predicted BLOB, seal TEXT);
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
    folders, path = tree.run_folders(), tree.root / FILE
    for place in (path, path, ":memory:"):
        try:
            with closing(sqlite3.connect(place, timeout=BUSY_SECONDS)) as index:
                _prepare(index)
                problems = _update(index, folders)
                return _select(index, folders), problems
        except sqlite3.OperationalError:
            continue  # read-only, locked or taken away under our hands: the file is not ours to repair
        except (sqlite3.Error, KeyError, ValidationError, zlib.error, ValueError):
            with suppress(OSError):
                path.unlink()
    raise AssertionError("an index in memory cannot fail")


def read_records(tree: ResultsTree) -> list[RunRecord]:
    """Every readable record of a tree; none where there is no folder, and none is made."""
    return [run.record for run in read_runs(tree)[0]] if tree.root.is_dir() else []


def _prepare(index: sqlite3.Connection) -> None:
    """Make the tables, anew where they are of another layout."""
    layout = zlib.crc32(json.dumps([TABLES, RunRecord.model_json_schema()], sort_keys=True).encode()) % 2**31
    if index.execute("PRAGMA user_version").fetchone()[0] != layout:
        index.executescript(f"DROP TABLE IF EXISTS runs; DROP TABLE IF EXISTS clips; {TABLES}")
        index.execute(f"PRAGMA user_version = {layout}")
        index.commit()


def _select(index: sqlite3.Connection, folders: dict[str, Path]) -> list[IndexedRun]:
    """The runs of a tree's folders. Raises ValueError where the index does not hold what was put in."""
    clips, runs = {}, {}
    for name, *columns in index.execute("SELECT digest, ids, sources, targets FROM clips"):
        if name != _seal(*columns):
            raise ValueError("the index is damaged")
        ids, sources, targets = columns
        clips[name] = Clips(np.array(ids.split("\n")), np.array(sources.split("\n")), np.frombuffer(targets, np.int64))
    for *columns, seal in index.execute("SELECT key, stamp, record, clips, predicted, seal FROM runs"):
        if seal != _seal(*columns):
            raise ValueError("the index is damaged")
        key, _, record, of_clips, predicted = columns
        if key in folders:
            classes = np.frombuffer(zlib.decompress(predicted), np.int16).astype(np.int64)
            runs[key] = IndexedRun(RunRecord.model_validate_json(record), clips[of_clips], classes)
    return [runs[key] for key in sorted(runs)]


def _update(index: sqlite3.Connection, folders: dict[str, Path]) -> list[str]:
    """Bring the index up to the tree, writing only where something changed. Returns a line for every unreadable run."""
    known = dict(index.execute("SELECT key, stamp FROM runs"))
    stamps = {key: _stamp(folder) for key, folder in folders.items()}
    stale = [key for key in known if known[key] != stamps.get(key)]
    problems = []
    for key, folder in folders.items():
        if known.get(key) == stamps[key]:
            continue
        try:
            record = read_record(folder)
            name, clips, predicted = _rows_of(read_predictions(folder))
        except UserError as error:
            problems.append(str(error))
            continue
        row = (key, stamps[key], record.model_dump_json(), name, predicted)
        index.execute("INSERT OR IGNORE INTO clips VALUES (?, ?, ?, ?)", (name, *clips))
        index.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", (*row, _seal(*row)))
        if key in stale:
            stale.remove(key)
    if stale:
        index.executemany("DELETE FROM runs WHERE key = ?", [(key,) for key in stale])
        index.execute("DELETE FROM clips WHERE digest NOT IN (SELECT clips FROM runs)")
    if index.in_transaction:
        index.commit()
    return problems


def predicted_classes(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The class of the highest logit of each clip, ``[clips]``; NOT_FINITE where one of them is."""
    predicted: npt.NDArray[np.int64] = logits.argmax(axis=1)
    predicted[~np.isfinite(logits).all(axis=1)] = NOT_FINITE
    return predicted


def _rows_of(predictions: Predictions) -> tuple[str, tuple[str, str, bytes], bytes]:
    """Digest and columns of the clips, and the predicted classes."""
    ids, sources = (_lines(names) for names in (predictions.test_ids, predictions.test_groups))
    targets = predictions.test_targets.astype(np.int64).tobytes()
    predicted = predicted_classes(predictions.test_logits)
    clips = ("\n".join(ids), "\n".join(sources), targets)
    return _seal(*clips), clips, zlib.compress(predicted.astype(np.int16).tobytes(), 1)


def _seal(*columns: str | bytes) -> str:
    """A digest of a row."""
    total = hashlib.sha256()
    for column in columns:
        data = column if isinstance(column, bytes) else str(column).encode(errors="surrogatepass")
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:32]


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
