"""Any folder of audio with a table ``clips.csv``: path, label, and where there are any, fold or split, and group."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError, Part
from petl_bench.benchmarks.tables import name_in, read_rows, shown, whole_number
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
    protocol's ``split_seed``, stratified by label as far as groups kept whole allow. Links are followed.
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
        clips = [self._clip(table, row, there) for row in rows]
        named: dict[PurePosixPath, str] = {}
        for clip in clips:
            if (other := named.setdefault(PurePosixPath(clip.id), clip.id)) != clip.id:
                raise UserError(f"{table}: {shown(other)} and {shown(clip.id)} are one file")
        return clips

    def _clip(self, table: Path, row: dict[str, str], there: list[str]) -> Clip:
        path, label = (name_in(table, column, row[column]) for column in COLUMNS)
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
            raise UserError(
                f"{table}: path {shown(path)} does not stand below the folder; give it with / and without .."
            )
        if not label:
            raise UserError(f"{table}: {path} has no label")
        if empty := [name for name in there if not (row[name] or "").strip()]:
            raise UserError(f"{table}: {path} has no {empty[0]}")
        part = None
        if "split" in there:
            part = SPLITS.get(row["split"].strip().lower())
            if part is None:
                raise UserError(f"{table}: split {shown(row['split'])} of {path}: one of train, validation, test")
        fold = whole_number(table, "folds", row["fold"]) if "fold" in there else None
        group = name_in(table, "group", row["group"]) if "group" in there else path
        return Clip(path, label, group, fold=fold, part=part)
