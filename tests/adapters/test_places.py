"""Where backbones are is noted beside records, not in them, and may be forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from petl_bench.adapters.places import known_place, note_place


def test_a_folder_is_known_while_it_is_there(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"mod\xe8le")
    folder.mkdir()
    note_place("0" * 16, folder)
    assert known_place("0" * 16) == str(folder)
    assert known_place("1" * 16) is None
    folder.rmdir()
    assert known_place("0" * 16) is None


def test_a_cache_that_cannot_be_written_to_costs_the_note_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PETL_BENCH_CACHE", str(tmp_path / "file"))
    note_place("0" * 16, tmp_path)
    assert known_place("0" * 16) is None
