"""ESC-50 and ESC-10: ``meta/esc50.csv`` beside ``audio/`` (Piczak, ACM Multimedia 2015)."""

from __future__ import annotations

from pathlib import Path

from petl_bench.benchmarks.dataset import Clip
from petl_bench.benchmarks.tables import FoldTable


class Esc50(FoldTable):
    """Five official folds; clips cut from one Freesound recording (``src_file``) form a group."""

    folds = 5
    table = "meta/esc50.csv"
    columns = ("filename", "fold", "target", "category", "src_file")

    def path(self, clip: Clip) -> Path:
        return self.folder / "audio" / clip.id
