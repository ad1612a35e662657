"""The results tree: each run a folder that exists whole or not at all. Free of torch.

``<root>/<benchmark>/<backbone>/<implementation>/<run_key>/`` holds ``run.json``, ``epochs.jsonl``, ``predictions.npz``
and, where it was asked for, ``adapter/``; ``<root>/failed/<run_key>.<n>.json`` holds what went wrong,
``<root>/profiles`` what methods were measured to cost. Trees can be copied and merged. Hidden folders hold what is
under way: claims, checkpoints, run folders that are being written.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from petl_bench.adapters.saved import write_adapter
from petl_bench.claims import Claims
from petl_bench.errors import UserError
from petl_bench.files import flush, write_durably
from petl_bench.records import Failure, FinishedRun, Predictions, RunRecord, read_record

FAILED = "failed"
UNFINISHED = ".unfinished"
CLAIMS = ".claims"
CHECKPOINTS = ".checkpoints"
ADAPTER = "adapter"
"""Folder of a run's trained adapter, within the run's."""


class ResultsTree:
    """A results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.claims = Claims(root / CLAIMS)

    def prepare(self) -> None:
        """Create the folder and prove that it can be written to. Raises UserError."""
        try:
            (self.root / UNFINISHED).mkdir(parents=True, exist_ok=True)
            self.claims.folder.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root / UNFINISHED):
                pass
        except OSError as error:
            raise UserError(
                f"--results {self.root}: cannot be written to ({error.strerror or error}); choose another folder"
            ) from error

    def run_folders(self) -> dict[str, Path]:
        """Folder of every finished run by run key."""
        return {path.parent.name: path.parent for path in sorted(self.root.glob("[!.]*/*/*/*/run.json"))}

    def find(self, key: str) -> Path | None:
        """Folder of the finished run of a key, wherever it is filed."""
        return next((path.parent for path in self.root.glob(f"[!.]*/*/*/{key}/run.json")), None)

    def write(self, run: FinishedRun, replace: bool = False) -> bool:
        """File a run. Where its key is filed already the first stays (returns False), unless ``replace``."""
        target = self.folder_of(run.record)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=self.root / UNFINISHED))
        new, old = unfinished / "new", unfinished / "old"
        before = None
        try:
            _write_run(new, run)
            before = self.find(target.name)
            if before is not None and not replace:
                return False
            if target.exists() and not (target / "run.json").exists():
                before = target  # a folder without a record, as an interrupted copy leaves it
            if before is not None:
                with suppress(FileNotFoundError):  # another process has moved it away
                    os.rename(before, old)
            try:
                os.rename(new, target)
            except OSError:
                if not (target / "run.json").is_file():
                    raise
                return False
            return True
        finally:
            if before is not None and old.exists() and not target.exists():
                os.rename(old, before)
            shutil.rmtree(unfinished, ignore_errors=True)

    def folder_of(self, record: RunRecord) -> Path:
        """Where a record is filed."""
        return self.root.joinpath(*record.labels) / record.run_info.run_key

    def checkpoint(self, key: str) -> Path:
        """Where an unfinished run is kept."""
        return self.root / CHECKPOINTS / f"{key}.safetensors"

    def checkpoints(self) -> list[Path]:
        """Everything that is kept of unfinished runs."""
        return sorted((self.root / CHECKPOINTS).glob("*.safetensors"))

    def records(self) -> tuple[list[RunRecord], list[str]]:
        """All readable records, and a line for each that is not."""
        records, problems = [], []
        for folder in self.run_folders().values():
            try:
                records.append(read_record(folder))
            except UserError as error:
                problems.append(str(error))
        return records, problems

    def write_failure(self, failure: Failure) -> Path:
        """File a failure under the next free number of its key."""
        folder = self.root / FAILED
        folder.mkdir(parents=True, exist_ok=True)
        number = self.failure_count(failure.run_key)
        whole = folder / f".{failure.run_key}.{secrets.token_hex(4)}"
        try:
            write_durably(whole, failure.model_dump_json(indent=2) + "\n")
            while True:
                number += 1
                path = folder / f"{failure.run_key}.{number}.json"
                try:
                    os.link(whole, path)
                except FileExistsError:
                    continue
                except OSError:  # a file system without links
                    os.replace(whole, path)
                return path
        finally:
            whole.unlink(missing_ok=True)

    def failures(self) -> dict[str, Path]:
        """The latest failure of every key that has one."""
        return {key: path for _, key, path in sorted(self._numbered_failures())}

    def failure_count(self, key: str) -> int:
        """The number of a key's latest failure, 0 where it has none."""
        return max((number for number, its, _ in self._numbered_failures(f"{key}.*.json") if its == key), default=0)

    def _numbered_failures(self, pattern: str = "*.json") -> Iterator[tuple[int, str, Path]]:
        for path in (self.root / FAILED).glob(pattern):
            key, _, number = path.stem.partition(".")
            if number.isascii() and number.isdigit():
                yield int(number), key, path


def match_key(start: str, keys: Iterable[str]) -> str | None:
    """The run key that begins with ``start``, of four digits or more; None where none does.

    Raises UserError where several do.
    """
    matches = sorted(key for key in keys if key.startswith(start)) if len(start) >= 4 else []
    if len(matches) > 1:
        raise UserError(f"'{start}' begins {len(matches)} run keys: {', '.join(matches[:4])}; give more of it")
    return matches[0] if matches else None


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Put predictions into a run's folder."""
    with (folder / "predictions.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **vars(predictions))
        flush(file)


def _write_run(folder: Path, run: FinishedRun) -> None:
    folder.mkdir()
    lines = [json.dumps(epoch, allow_nan=False) + "\n" for epoch in run.epochs]
    write_durably(folder / "epochs.jsonl", "".join(lines))
    write_predictions(folder, run.predictions)
    if run.adapter is not None:
        write_adapter(folder / ADAPTER, run.adapter)
    write_durably(folder / "run.json", run.record.model_dump_json(indent=2) + "\n")
