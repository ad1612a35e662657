"""Google Speech Commands v0.02: a folder per word, ``validation_list.txt``, ``testing_list.txt`` (arXiv 1804.03209)."""

from __future__ import annotations

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError, Part
from petl_bench.benchmarks.tables import LONGEST
from petl_bench.errors import UserError
from petl_bench.files import read_text

LISTS: dict[Part, str] = {"validation": "validation_list.txt", "test": "testing_list.txt"}


class SpeechCommands(FileLayout):
    """Official lists: what neither names trains. The speaker, the name before ``_nohash_``, is the group."""

    def scan(self) -> list[Clip]:
        part_of: dict[str, Part] = {}
        for part, name in LISTS.items():
            file = self.folder / name
            if not file.is_file():
                raise MissingDataError(f"no {name} in {self.folder}")
            names = read_text(file).split()
            if twice := sorted(part_of.keys() & set(names)):
                lists = " and ".join(LISTS.values())
                raise UserError(f"{self.folder}: {len(twice)} clips stand in both {lists}, {twice[0][:LONGEST]} first")
            part_of.update(dict.fromkeys(names, part))
        words = sorted(path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith("_"))
        ids = [f"{word.name}/{name}" for word in words for name in sorted(p.name for p in word.glob("*_nohash_*.wav"))]
        if not ids:
            raise MissingDataError(f"no <word>/*_nohash_*.wav in {self.folder}")
        absent = sorted(part_of.keys() - set(ids))
        absent = [name for name in absent if (self.folder / name).parent in words]
        if absent:
            raise UserError(
                f"{self.folder} is incomplete: {len(absent)} clips of {' and '.join(LISTS.values())} are not there, "
                f"{absent[0][:LONGEST]} first"
            )
        return [
            Clip(
                id=name,
                label=name.partition("/")[0],
                group=name.partition("/")[2].partition("_nohash_")[0],
                part=part_of.get(name, "train"),
            )
            for name in ids
        ]
