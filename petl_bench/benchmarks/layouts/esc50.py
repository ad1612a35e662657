"""ESC-50 and ESC-10: ``meta/esc50.csv`` beside ``audio/`` (Piczak, ACM Multimedia 2015)."""

from __future__ import annotations

from pathlib import Path

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError
from petl_bench.benchmarks.tables import fold_number, numbered_classes, read_rows

COLUMNS = ("filename", "fold", "target", "category", "src_file")


class Esc50(FileLayout):
    """Five official folds; clips cut from one Freesound recording (``src_file``) form a group."""

    folds = 5

    def scan(self) -> list[Clip]:
        table = self.folder / "meta" / "esc50.csv"
        if not table.is_file():
            raise MissingDataError(f"no meta/esc50.csv in {self.folder}")
        rows = read_rows(table, COLUMNS)
        self._target = numbered_classes(table, {(row["category"], row["target"]) for row in rows})
        clips = []
        for row in rows:
            fold = fold_number(table, row["fold"])
            clips.append(Clip(row["filename"], row["category"], row["src_file"], fold))
        return clips

    def path(self, clip: Clip) -> Path:
        return self.folder / "audio" / clip.id

    def class_order(self, labels: set[str]) -> list[str]:
        """In the order of the data set's ``target`` numbers."""
        return sorted(labels, key=self._target.__getitem__)
