"""ESC-50 and ESC-10: ``meta/esc50.csv`` beside ``audio/`` (Piczak, ACM Multimedia 2015)."""

from __future__ import annotations

import csv
from pathlib import Path

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError
from petl_bench.errors import UserError
from petl_bench.files import read_text

COLUMNS = ("filename", "fold", "target", "category", "src_file")


class Esc50(FileLayout):
    """Five official folds; clips cut from one Freesound recording (``src_file``) form a group."""

    folds = 5

    def scan(self) -> list[Clip]:
        table = self.folder / "meta" / "esc50.csv"
        if not table.is_file():
            raise MissingDataError(f"no meta/esc50.csv in {self.folder}")
        try:
            rows = list(csv.DictReader(read_text(table).splitlines()))
        except csv.Error as error:
            raise UserError(f"{table} is not a CSV table: {error}") from error
        if not rows or any(row.get(column) is None for row in rows for column in COLUMNS):
            raise UserError(f"{table}: needs rows with the columns {', '.join(COLUMNS)}")
        try:
            pairs = {(row["category"], int(row["target"])) for row in rows}
            clips = [Clip(row["filename"], row["category"], row["src_file"], fold=int(row["fold"])) for row in rows]
        except ValueError as error:
            raise UserError(f"{table}: fold and target must be whole numbers: {error}") from error
        self._target = dict(pairs)
        if not len(pairs) == len(self._target) == len(set(self._target.values())):
            raise UserError(f"{table}: every category needs one target number of its own")
        return clips

    def path(self, clip: Clip) -> Path:
        return self.folder / "audio" / clip.id

    def class_order(self, labels: set[str]) -> list[str]:
        """In the order of the data set's ``target`` numbers."""
        return sorted(labels, key=self._target.__getitem__)
