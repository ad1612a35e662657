"""Records on disk: whole or absent, first come first kept, damage reported and survived."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from petl_bench.errors import UserError
from petl_bench.records import FinishedRun, RunRecord, read_predictions, read_record
from petl_bench.results import ResultsTree
from tests.studies import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETL_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return train()


@pytest.fixture
def tree(tmp_path: Path) -> ResultsTree:
    tree = ResultsTree(tmp_path / "results")
    tree.prepare()
    return tree


def test_a_run_is_filed_by_benchmark_backbone_implementation_and_key(tree: ResultsTree, run: FinishedRun) -> None:
    assert tree.write(run)
    folder = tree.folder_of(run.record)
    key = run.record.run_info.run_key
    assert folder == tree.root / "synthetic" / "mini" / "linear" / key
    assert tree.run_folders() == {key: folder}
    assert read_record(folder) == run.record
    for name, array in vars(read_predictions(folder)).items():
        assert np.array_equal(array, getattr(run.predictions, name))
    lines = (folder / "epochs.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == run.epochs
    assert {path.name for path in folder.iterdir()} == {"run.json", "epochs.jsonl", "predictions.npz"}


def test_the_first_record_of_a_key_stays(tree: ResultsTree, run: FinishedRun) -> None:
    assert tree.write(run)
    record = tree.folder_of(run.record) / "run.json"
    before = record.stat().st_ino
    assert not tree.write(run)
    assert record.stat().st_ino == before
    assert tree.write(run, replace=True)
    assert record.stat().st_ino != before
    assert list((tree.root / ".unfinished").iterdir()) == []


def test_replacing_removes_the_record_wherever_it_is_filed(tree: ResultsTree, run: FinishedRun) -> None:
    meta = run.record.meta_info.model_copy(update={"model_info": {"name": "zz"}})
    elsewhere = FinishedRun(run.record.model_copy(update={"meta_info": meta}), run.epochs, run.predictions)
    assert tree.write(elsewhere)
    assert not tree.write(run)
    assert tree.write(run, replace=True)
    assert tree.run_folders() == {run.record.run_info.run_key: tree.folder_of(run.record)}
    assert tree.find(run.record.run_info.run_key) == tree.folder_of(run.record)


def test_a_folder_without_a_record_makes_way(tree: ResultsTree, run: FinishedRun) -> None:
    """As an interrupted copy of a tree leaves it."""
    folder = tree.folder_of(run.record)
    folder.mkdir(parents=True)
    (folder / "predictions.npz").write_bytes(b"half")
    assert tree.write(run)
    assert read_record(folder) == run.record
    assert read_predictions(folder).test_logits.shape == run.predictions.test_logits.shape


@pytest.mark.parametrize(
    "path",
    [
        "train_info.metrics.test",
        "train_info.metrics.test.loss",
        "train_info.parameters.head",
        "meta_info.dataset_info.limit",
        "meta_info.model_info.name",
    ],
)
def test_a_record_that_lacks_what_readers_need_is_damaged(tree: ResultsTree, run: FinishedRun, path: str) -> None:
    tree.write(run)
    file = tree.folder_of(run.record) / "run.json"
    data = json.loads(file.read_text())
    place = data
    *parts, last = path.split(".")
    for part in parts:
        place = place[part]
    del place[last]
    file.write_text(json.dumps(data))
    with pytest.raises(UserError, match="not a readable run record"):
        read_record(file.parent)


def test_a_replacement_that_fails_leaves_the_old_record(
    tree: ResultsTree, run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write(run)
    rename = os.rename

    def failing(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(KeyboardInterrupt):
        tree.write(run, replace=True)
    assert tree.records() == ([run.record], [])
    assert list((tree.root / ".unfinished").iterdir()) == []


def test_a_record_with_numbers_that_are_none_cannot_be_made(run: FinishedRun) -> None:
    data = run.record.model_dump()
    data["train_info"]["metrics"]["test"]["loss"] = float("nan")
    with pytest.raises(ValidationError, match="finite"):
        RunRecord.model_validate(data)


def test_a_hub_name_becomes_one_folder(tree: ResultsTree, run: FinishedRun) -> None:
    meta = run.record.meta_info.model_copy(update={"model_info": {"name": "MIT/ast-finetuned"}})
    renamed = FinishedRun(run.record.model_copy(update={"meta_info": meta}), run.epochs, run.predictions)
    assert tree.folder_of(renamed.record).parent.parent.name == "MIT--ast-finetuned"


def test_damaged_and_newer_records_are_named_and_the_rest_is_read(tree: ResultsTree, run: FinishedRun) -> None:
    tree.write(run)
    for name, text in {"newer": '{"schema_version": 99}', "torn": '{"schema', "list": "[]"}.items():
        folder = tree.root / "synthetic" / "mini" / "linear" / name
        folder.mkdir()
        (folder / "run.json").write_text(text)
    records, problems = tree.records()
    assert records == [run.record]
    assert sorted(problem.partition("linear/")[2] for problem in problems) == [
        "list/run.json: not a readable run record (TypeError)",
        "newer/run.json: schema_version 99 is newer than this petl-bench reads (1); update it",
        "torn/run.json: not a readable run record (JSONDecodeError)",
    ]


def test_a_folder_that_cannot_be_written_to_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--results .*file.*cannot be written to"):
        ResultsTree(tmp_path / "file").prepare()


def test_files_beside_failures_are_not_counted(tmp_path: Path) -> None:
    tree = ResultsTree(tmp_path)
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "abc.².json").write_text("{}")
    assert tree.failures() == {}
