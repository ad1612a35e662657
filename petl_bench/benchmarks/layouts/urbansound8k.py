"""UrbanSound8K: ``metadata/UrbanSound8K.csv`` beside ``audio/fold1`` to ``fold10`` (Salamon et al., ACM MM 2014)."""

from __future__ import annotations

from pathlib import Path

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError
from petl_bench.benchmarks.tables import fold_number, numbered_classes, read_rows

COLUMNS = ("slice_file_name", "fsID", "fold", "classID", "class")


class UrbanSound8K(FileLayout):
    """Ten official folds, not to be drawn anew; clips cut from one Freesound recording (``fsID``) form a group."""

    folds = 10

    def scan(self) -> list[Clip]:
        table = self.folder / "metadata" / "UrbanSound8K.csv"
        if not table.is_file():
            raise MissingDataError(f"no metadata/UrbanSound8K.csv in {self.folder}")
        rows = read_rows(table, COLUMNS)
        self._number = numbered_classes(table, {(row["class"], row["classID"]) for row in rows})
        clips = []
        for row in rows:
            fold = fold_number(table, row["fold"])
            clips.append(Clip(row["slice_file_name"], row["class"], row["fsID"], fold))
        return clips

    def path(self, clip: Clip) -> Path:
        return self.folder / "audio" / f"fold{clip.fold}" / clip.id

    def class_order(self, labels: set[str]) -> list[str]:
        """In the order of the data set's ``classID``."""
        return sorted(labels, key=self._number.__getitem__)
