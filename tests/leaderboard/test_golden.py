"""A small tree that this version wrote gives the same pages, byte for byte, on every machine and in every version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from petl_bench.index import FILE
from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.latex import latex
from petl_bench.leaderboard.pages import csv_text, json_text, markdown
from petl_bench.results import ResultsTree
from tests.leaderboard.trees import GOLDEN

TEXTS = {"md": markdown, "csv": csv_text, "json": json_text, "tex": latex}


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the golden study: its cards, so that ours may change, and its results."""
    folder = shutil.copytree(GOLDEN, tmp_path / "golden")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("suffix", TEXTS)
def test_the_golden_tree_gives_the_golden_pages(golden: Path, suffix: str) -> None:
    reports, problems = board(Path("results"))
    assert TEXTS[suffix](reports, problems) == (golden / f"leaderboard.{suffix}").read_text("utf-8")


def test_pages_are_the_same_from_the_index_as_from_the_files(golden: Path) -> None:
    first, _ = board(Path("results"))
    assert (golden / "results" / FILE).exists()
    assert board(Path("results"))[0] == first


def test_records_of_this_version_can_be_read(golden: Path) -> None:
    records, problems = ResultsTree(golden / "results").records()
    assert problems == []
    assert len(records) == 30
