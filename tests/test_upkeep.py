"""Merge, prune and migrate: nothing that can be read is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from petl_bench.results import ResultsTree
from petl_bench.upkeep import merge, migrate, prune
from tests.leaderboard.trees import plant, study_of


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_merge_copies_what_is_missing_and_keeps_what_is_there() -> None:
    here = plant(Path("here"), *study_of({"linear": 0.5}, seeds=1))
    there = plant(Path("there"), *study_of({"linear": 0.9}, seeds=2))
    before = {key: (folder / "predictions.npz").read_bytes() for key, folder in here.run_folders().items()}
    assert len(merge(there, here, dry_run=True)) == 5
    assert len(here.run_folders()) == 5
    assert len(merge(there, here)) == 5
    assert len(here.run_folders()) == 10
    assert all((here.run_folders()[key] / "predictions.npz").read_bytes() == data for key, data in before.items())
    assert merge(there, here) == []
    assert list((here.root / ".unfinished").iterdir()) == []


def test_merge_makes_a_tree_and_leaves_damaged_runs_behind() -> None:
    there = plant(Path("there"), *study_of({"linear": 0.5}, seeds=1))
    folders = sorted(there.run_folders().values())
    (folders[0] / "run.json").write_text("{")
    (folders[1] / "predictions.npz").write_bytes(b"")
    lines = merge(there, ResultsTree(Path("new/tree")))
    assert sum("not copied, damaged" in line for line in lines) == 2
    assert len(ResultsTree(Path("new/tree")).run_folders()) == 3


def test_prune_deletes_leftovers_alone() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    folders = sorted(tree.run_folders().values())
    (folders[0] / "run.json").write_text("{")
    newer = json.loads((folders[1] / "run.json").read_text())
    (folders[1] / "run.json").write_text(json.dumps({**newer, "schema_version": 99}))
    (tree.root / ".unfinished" / "half").mkdir()
    (tree.root / "failed").mkdir()
    (tree.root / "failed" / f"{folders[2].name}.1.json").write_text("{}")
    (tree.root / "failed" / "0123456789abcdef.1.json").write_text("{}")
    planned = prune(tree, dry_run=True)
    assert folders[0].exists()
    assert prune(tree) == planned
    assert [line.partition(":")[0] for line in planned] == ["unfinished", "damaged", "made up for"]
    assert not folders[0].exists()
    assert folders[1].exists()
    assert [path.name for path in (tree.root / "failed").iterdir()] == ["0123456789abcdef.1.json"]
    assert prune(tree) == []


def test_migrate_rewrites_old_records_and_files_them_anew() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    folder = sorted(tree.run_folders().values())[0]
    data = json.loads((folder / "run.json").read_text())
    del data["meta_info"]["method_info"], data["train_info"]["redundant_parameters"]
    (folder / "run.json").write_text(json.dumps(data))
    elsewhere = tree.root / "a" / "b" / "c" / folder.name
    elsewhere.parent.mkdir(parents=True)
    folder.rename(elsewhere)
    assert len(migrate(tree, dry_run=True)) == 2
    assert len(migrate(tree)) == 2
    assert migrate(tree) == []
    assert json.loads((folder / "run.json").read_text())["meta_info"]["method_info"] == {}
