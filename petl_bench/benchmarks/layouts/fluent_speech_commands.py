"""Fluent Speech Commands: ``data/{train,valid,test}_data.csv`` beside ``wavs/`` (Lugosch et al., arXiv 1904.03670)."""

from __future__ import annotations

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError, Part
from petl_bench.benchmarks.tables import name_in, read_rows

TABLES: dict[Part, str] = {"train": "train_data.csv", "validation": "valid_data.csv", "test": "test_data.csv"}
COLUMNS = ("path", "speakerId", "action", "object", "location")


class FluentSpeechCommands(FileLayout):
    """Official lists, no speaker in two of them. A class is an intent: action, object and location together."""

    def scan(self) -> list[Clip]:
        clips = []
        for part, name in TABLES.items():
            table = self.folder / "data" / name
            if not table.is_file():
                raise MissingDataError(f"no data/{name} in {self.folder}")
            for row in read_rows(table, COLUMNS):
                intent = "/".join(row[column] for column in ("action", "object", "location"))
                path, speaker = (name_in(table, column, row[column]) for column in ("path", "speakerId"))
                clips.append(Clip(path, name_in(table, "intent", intent), speaker, part=part))
        return clips
