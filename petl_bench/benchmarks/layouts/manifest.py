"""Any folder of audio with a table ``clips.csv``: path, label, and where there are any, fold or split, and group."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError, Part
from petl_bench.benchmarks.tables import fold_number, read_rows
from petl_bench.errors import UserError

COLUMNS = ("path", "label")
OPTIONAL = ("fold", "split", "group")
SPLITS: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}


class Manifest(FileLayout):
    """Paths are below the folder, with ``/``. Clips of one ``group`` (a speaker, a recording) are never parted.

    With a ``fold`` column these are the folds; with ``split`` the parts; with neither, folds are drawn from the
    protocol's ``split_seed``, stratified by label as far as groups kept whole allow.
    """

    folds = None

    def scan(self) -> list[Clip]:
        table = self.folder / "clips.csv"
        if not table.is_file():
            raise MissingDataError(f"no clips.csv (path,label[,fold|split][,group]) in {self.folder}")
        rows = read_rows(table, COLUMNS)
        there = [name for name in OPTIONAL if name in rows[0]]
        if {"fold", "split"} <= set(there):
            raise UserError(f"{table}: has both fold and split; leave one out")
        return [self._clip(table, row, there) for row in rows]

    def path(self, clip: Clip) -> Path:
        return self.folder / clip.id

    def _clip(self, table: Path, row: dict[str, str], there: list[str]) -> Clip:
        path, label = row["path"].strip(), row["label"].strip()
        parts = PurePosixPath(path).parts
        if not path or path.startswith("/") or ".." in parts or "\\" in path or ":" in path or "\0" in path:
            raise UserError(f"{table}: path {path!r} does not stand below the folder; give it with / and without ..")
        if not label:
            raise UserError(f"{table}: {path} has no label")
        if empty := [name for name in there if not (row[name] or "").strip()]:
            raise UserError(f"{table}: {path} has no {empty[0]}")
        part = None
        if "split" in there:
            part = SPLITS.get(row["split"].strip().lower())
            if part is None:
                raise UserError(f"{table}: split {row['split']!r} of {path}: one of train, validation, test")
        fold = fold_number(table, row["fold"]) if "fold" in there else None
        group = row["group"].strip() if "group" in there else path
        return Clip(path, label, group, fold=fold, part=part)
