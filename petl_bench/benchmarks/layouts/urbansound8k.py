"""UrbanSound8K: ``metadata/UrbanSound8K.csv`` beside ``audio/fold1`` to ``fold10`` (Salamon et al., ACM MM 2014)."""

from __future__ import annotations

from pathlib import Path

from petl_bench.benchmarks.dataset import Clip
from petl_bench.benchmarks.tables import FoldTable


class UrbanSound8K(FoldTable):
    """Ten official folds, not to be drawn anew; clips cut from one Freesound recording (``fsID``) form a group."""

    folds = 10
    table = "metadata/UrbanSound8K.csv"
    columns = ("slice_file_name", "fold", "classID", "class", "fsID")

    def path(self, clip: Clip) -> Path:
        return self.folder / "audio" / f"fold{clip.fold}" / clip.id
