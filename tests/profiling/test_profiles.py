"""Profiles in a results folder: written, read, refused, found by the cost key of runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from petl_bench.leaderboard.board import board, read_tables
from petl_bench.leaderboard.pages import json_text, markdown
from petl_bench.leaderboard.web.details import details_of
from petl_bench.leaderboard.web.page import html_text
from petl_bench.profiling.profiles import FOLDER, path_of, read_profiles, write_profile
from petl_bench.results import ResultsTree
from petl_bench.upkeep import Done, merge, prune
from tests.leaderboard.trees import plant, study_of
from tests.profiling.example import example

ROOT = Path("results")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_profile_is_read_as_it_was_written_and_the_newest_wins() -> None:
    write_profile(ROOT, example("a" * 16))
    newer = example("a" * 16, step_ms=100.0, peak_memory_bytes=None, step_memory_bytes=None)
    write_profile(ROOT, newer)
    assert read_profiles(ROOT) == ({"a" * 16: newer}, [])
    assert read_profiles(Path("elsewhere")) == ({}, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "a newer petl-bench wrote it; update this one"),
        ({"schema_version": "one"}, r"not a readable profile \(TypeError\)"),
        ({"costs": {}}, r"not a readable profile \(ValidationError\)"),
        ({"cost_key": "b" * 16}, "it is the profile of bbbb"),
    ],
)
def test_what_is_no_profile_is_a_line(change: dict[str, object], message: str) -> None:
    write_profile(ROOT, example("a" * 16))
    write_profile(ROOT, example("c" * 16))
    path = path_of(ROOT, "a" * 16)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    profiles, (problem,) = read_profiles(ROOT)
    assert list(profiles) == ["c" * 16]
    assert re.search(message, problem)


def planted() -> ResultsTree:
    """Two configurations, one of them profiled, and a profile of something else."""
    runs = study_of({"linear": 0.5, "lora": 0.7}, seeds=1)
    tree = plant(ROOT, *runs)
    key = next(run.record.spec.cost_key() for run in runs if run.record.spec.method.implementation == "lora")
    write_profile(ROOT, example(key, "lora"))
    write_profile(ROOT, example("f" * 16, "other", training_clips_per_second=987.0))
    return tree


def test_the_leaderboard_has_the_figures_of_what_was_profiled_and_of_nothing_else() -> None:
    planted()
    reports, problems = board(ROOT)
    assert problems == []
    rows = {row["method"]: row for row in reports[0]["rows"]}
    assert rows["linear"]["profile"] is None
    assert rows["lora"]["profile"]["costs"]["training_clips_per_second"] == 160
    assert '"profile": null' in json_text(reports)
    page = markdown(reports)
    cells = "0.125 | 0.250 | 160 | 320 | 500 | 50.0% | cpu, 2 threads, batch 32, 2026-01-02"
    assert [line for line in page.splitlines() if " ".join(line.split()) == f"| lora | {cells} |"]
    assert [line for line in page.splitlines() if line.startswith("| linear") and line.count(" - ") == 7]
    assert "987" not in page


def test_a_table_without_profiles_has_no_costs() -> None:
    plant(ROOT, *study_of({"linear": 0.5}, seeds=1))
    assert "GFLOPs" not in markdown(board(ROOT)[0])


def test_the_page_lists_costs_among_the_details() -> None:
    tree = planted()
    tables, _ = read_tables(ROOT)
    reports, _ = board(ROOT)
    keys = {row["method"]: row["config_key"] for row in reports[0]["rows"]}
    details = details_of(tables, tree.run_folders(), keys.values())
    assert details[keys["linear"]]["cost"] is None
    assert ["forward", "0.125 GFLOPs per clip"] in details[keys["lora"]]["cost"]
    step = "200 ms: data 10%, forward 40%, backward 45%, optimizer 5%"
    assert ["step", step] in details[keys["lora"]]["cost"]
    assert step in html_text(reports, details)


def test_a_profile_that_cannot_be_read_takes_no_row_away() -> None:
    planted()
    path_of(ROOT, "f" * 16).write_text("{")
    reports, problems = board(ROOT)
    assert len(reports[0]["rows"]) == 2
    assert len(problems) == 1
    assert "not a readable profile" in problems[0]


def test_merge_copies_profiles_that_are_missing_and_prune_leaves_them() -> None:
    planted()
    other = ResultsTree(Path("other"))
    write_profile(other.root, example("f" * 16, step_ms=1.0))
    path_of(ROOT, "0" * 16).write_text("{")
    done = merge(ResultsTree(ROOT), other)
    assert len([line for line in done.changes if line.startswith("profile ")]) == 1
    assert [line for line in done.remarks if "not a readable profile" in line]
    there, _ = read_profiles(other.root)
    assert there["f" * 16].costs.step_ms == 1
    assert len(there) == 2
    assert merge(ResultsTree(ROOT), other).changes == []
    assert prune(other) == Done()
    left_over = other.root / FOLDER / ".half-written"
    left_over.touch()
    os.utime(left_over, (0, 0))
    assert prune(other).changes == [f"abandoned: {left_over}"]
    assert len(other.run_folders()) == 10


def test_reading_profiles_needs_no_torch() -> None:
    code = "import sys, petl_bench.profiling.profiles, petl_bench.profiling.wording; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
