"""What cannot be read or shown is left out and said, and takes nothing else off the page; the index is disposable."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petl_bench.index import FILE, read_runs
from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.names import Namer
from petl_bench.leaderboard.pages import csv_text, json_text, markdown
from petl_bench.leaderboard.tables import make_tables
from petl_bench.records import Failure
from petl_bench.results import ResultsTree
from tests.leaderboard.trees import plant, run_of, study_of, template


def test_the_page_survives_what_lies_about_in_a_tree() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5, "full": 0.9}, seeds=1))
    folders = sorted(tree.run_folders().values())
    (folders[0] / "run.json").write_text("{")
    (folders[1] / "predictions.npz").write_bytes(b"no zip")
    newer = json.loads((folders[2] / "run.json").read_text())
    (folders[2] / "run.json").write_text(json.dumps({**newer, "schema_version": 99}))
    (folders[3] / "predictions.npz").unlink()
    Path("results/notes.txt").write_text("garbage")
    Path("results/a/b/c/d").mkdir(parents=True)
    reports, problems = board(Path("results"))
    assert len(problems) == 4
    assert any("newer than this petl-bench reads" in problem for problem in problems)
    assert sum(row["runs"] for row in reports[0]["rows"]) == 6
    for text in (markdown, csv_text, json_text):
        assert text(reports)


def test_the_index_follows_the_tree() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    assert len(read_runs(tree)[0]) == 5
    folders = sorted(tree.run_folders().values())
    shutil.rmtree(folders[0])
    tree.write(run_of(np.array([True, False]), name="full"))
    tree.write(run_of(np.array([True] * 40), seed=7))
    runs, _ = read_runs(tree)
    assert len(runs) == 6
    record = runs[0].record
    name, fold, seed = record.spec.method.implementation, record.spec.fold, record.spec.seed
    changed = run_of(np.ones(40, dtype=bool), name=name, fold=fold, seed=seed)
    assert changed.record.run_info.run_key == record.run_info.run_key
    tree.write(changed, replace=True)
    again = read_runs(tree)[0][0]
    assert (again.predicted == again.clips.targets).all()
    (Path("results") / FILE).write_bytes(b"not a data base")
    assert len(read_runs(tree)[0]) == 6
    assert make_tables(read_runs(tree)[0], Namer())[0]


def test_a_tree_that_cannot_be_written_to_is_read_without_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def refuse(path: object, **options: object) -> sqlite3.Connection:
        if path == ":memory:":
            return connect(":memory:")
        raise sqlite3.OperationalError("unable to open database file")

    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    monkeypatch.setattr(sqlite3, "connect", refuse)
    assert len(read_runs(ResultsTree(tree.root))[0]) == 5
    assert not (tree.root / FILE).exists()


def test_an_index_damaged_inside_or_without_its_clips_is_made_anew() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    expected = board(tree.root)
    with sqlite3.connect(tree.root / FILE) as index:
        index.execute("DELETE FROM clips")
    assert board(tree.root) == expected
    content = bytearray((tree.root / FILE).read_bytes())
    content[200:] = b"x" * len(content[200:])
    (tree.root / FILE).write_bytes(content)
    assert board(tree.root) == expected


def test_a_run_that_is_not_finite_is_left_out_alone() -> None:
    data = template().record.spec.data.model_copy(update={"metric": "macro_f1"})
    for spec in ({}, {"data": data}):
        runs = [
            run_of(np.array([True, False, True, True]), fold=fold, seed=seed, spec=spec)
            for fold in range(1, 6)
            for seed in (0, 1)
        ]
        runs[0].predictions.test_logits[0, 0] = np.nan
        tree = plant(Path(f"results-{len(spec)}"), *runs)
        found = board(tree.root)[0][0]
        assert any("not finite: 1" in note for note in found["notes"])
        assert found["rows"][0]["score"] is not None


def test_failures_and_tables_that_do_not_fit_are_on_the_page() -> None:
    runs = study_of({"linear": 0.5}, seeds=2)
    odd = run_of(np.array([True] * 7), fold=1, seed=9)
    tree = plant(Path("results"), *runs, odd)
    failed = run_of(np.array([True]), name="lora").record
    tree.write_failure(
        Failure(
            run_key=failed.run_info.run_key,
            title="lora on synthetic",
            error="no",
            traceback="",
            created_at="",
            spec=failed.spec,
        )
    )
    reports, problems = board(Path("results"))
    page = markdown(reports, problems)
    assert "## Left out" in page
    assert "- failed: lora on synthetic: no" in page
    assert "were tested on different clips" in page
    assert json.loads(json_text(reports, problems))["left_out"] == problems


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: np.save((folder / "predictions.npz").open("wb"), np.zeros(3)),
        lambda folder: np.savez(folder / "predictions.npz", test_logits=np.zeros(3)),
        lambda folder: (folder / "run.json").write_text("[" * 100_000),
        lambda folder: _edit(folder, lambda data: data["meta_info"]["dataset_info"]["clips"].update(train=0)),
        lambda folder: _edit(folder, lambda data: data["meta_info"]["dataset_info"].update(name=["a"])),
        lambda folder: _logits(folder, lambda logits: logits[:, 0]),
        lambda folder: _logits(folder, lambda logits: logits[:, :0]),
        lambda folder: _logits(folder, lambda logits: logits.astype(str)),
        lambda folder: _logits(folder, lambda logits: logits[1:]),
    ],
)
def test_a_damaged_run_is_left_out_and_the_page_is_made(damage: Callable[[Path], object]) -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=2))
    damage(sorted(tree.run_folders().values())[0])
    reports, problems = board(Path("results"))
    assert len(problems) == 1
    assert reports[0]["rows"][0]["runs"] == 9


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / "run.json").read_text())
    change(data)
    (folder / "run.json").write_text(json.dumps(data))


def _logits(folder: Path, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> None:
    with np.load(folder / "predictions.npz") as arrays:
        content = dict(arrays)
    np.savez(folder / "predictions.npz", **{**content, "test_logits": change(content["test_logits"])})
