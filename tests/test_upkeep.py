"""Merge, prune and migrate: nothing that can be read is lost."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from petl_bench.claims import Claim, Owner
from petl_bench.index import read_runs
from petl_bench.records import read_predictions, read_record
from petl_bench.results import ResultsTree, write_predictions
from petl_bench.upkeep import ABANDONED_AFTER, Done, merge, migrate, prune
from tests.leaderboard.trees import plant, study_of
from tests.studies import Command


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_merge_copies_what_is_missing_and_keeps_what_is_there() -> None:
    here = plant(Path("here"), *study_of({"linear": 0.5}, seeds=1))
    there = plant(Path("there"), *study_of({"linear": 0.9}, seeds=2))
    before = {key: (folder / "predictions.npz").read_bytes() for key, folder in here.run_folders().items()}
    assert len(merge(there, here, dry_run=True).changes) == 5
    assert len(here.run_folders()) == 5
    assert len(merge(there, here).changes) == 5
    assert len(here.run_folders()) == 10
    assert all((here.run_folders()[key] / "predictions.npz").read_bytes() == data for key, data in before.items())
    assert merge(there, here) == Done()
    assert list((here.root / ".unfinished").iterdir()) == []


def test_merge_makes_a_tree_and_leaves_damaged_runs_behind() -> None:
    there = plant(Path("there"), *study_of({"linear": 0.5}, seeds=1))
    folders = sorted(there.run_folders().values())
    (folders[0] / "run.json").write_text("{")
    (folders[1] / "predictions.npz").write_bytes(b"")
    done = merge(there, ResultsTree(Path("new/tree")))
    assert len(done.changes) == 3
    assert all(line.startswith("not copied: ") for line in done.remarks)
    assert len(done.remarks) == 2
    assert len(ResultsTree(Path("new/tree")).run_folders()) == 3


def test_an_adapter_of_a_later_version_stops_nothing(command: Command) -> None:
    there = plant(Path("there"), *study_of({"linear": 0.5}, seeds=1))
    newer = sorted(there.run_folders().values())[0] / "adapter"
    newer.mkdir()
    (newer / "config.json").write_text('{"schema_version": 99}')
    line = f"{newer / 'config.json'}: a newer petl-bench wrote it; update this one"
    done = merge(there, ResultsTree(Path("copy")))
    assert (len(done.changes), done.remarks) == (4, [f"not copied: {line}"])
    code, out, _ = command("validate", "there")
    assert (code, out.count("ok "), f"wrong  {line}\n" in out) == (2, 4, True)
    assert prune(there) == Done(remarks=[f"left alone: {line}"])


def test_compact_copies_predict_the_same_and_say_that_they_are_compact() -> None:
    there = plant(Path("there"), *study_of({"linear": 0.5}, seeds=1))
    near, *_ = folders = sorted(there.run_folders().values())
    close = read_predictions(near)
    close.test_logits[0, :2] = 20.0, 20.001  # one number in half precision, and then the first is the highest
    write_predictions(near, close)
    tree = ResultsTree(Path("compact"))
    assert len(merge(there, tree, compact=True).changes) == 5
    for folder in folders:
        record, copied = read_record(folder), tree.run_folders()[folder.name]
        precision = "float32" if folder == near else "float16"
        assert read_record(copied).run_info == record.run_info.model_copy(update={"logits": precision})
        assert read_record(copied).train_info == record.train_info
        assert read_predictions(copied).test_logits.dtype == precision
        np.testing.assert_allclose(
            read_predictions(copied).test_logits, read_predictions(folder).test_logits, 1e-3, 1e-3
        )
        assert (copied / "epochs.jsonl").read_bytes() == (folder / "epochs.jsonl").read_bytes()
    ours, theirs = ([run.predicted.tolist() for run in read_runs(place)[0]] for place in (tree, there))
    assert ours == theirs
    assert merge(there, tree, compact=True) == Done()


def test_a_compact_copy_leaves_an_adapter_behind_in_whatever_state_it_is() -> None:
    there = plant(Path("there"), *study_of({"linear": 0.5}, seeds=1))
    folder = min(there.run_folders().values())
    (folder / "adapter").mkdir()
    (folder / "adapter" / "config.json").write_text("{")
    assert any(line.startswith("not copied: ") for line in merge(there, ResultsTree(Path("whole"))).remarks)
    assert merge(there, ResultsTree(Path("compact")), compact=True).remarks == []
    assert not list(Path("compact").rglob("adapter"))


def test_merge_replaces_what_is_damaged_and_says_beforehand_what_it_does() -> None:
    here = plant(Path("here"), *study_of({"linear": 0.5}, seeds=1))
    there = plant(Path("there"), *study_of({"linear": 0.5}, seeds=1))
    first, second, *_ = sorted(here.run_folders().values())
    (first / "predictions.npz").write_bytes(b"")
    (second / "run.json").unlink()
    planned = merge(there, here, dry_run=True)
    assert merge(there, here) == planned
    assert len(planned.changes) == 2
    assert len(read_runs(here)[0]) == 5
    assert merge(here, here) == Done()


def test_merge_brings_no_failure_of_a_run_that_finished() -> None:
    here, there = ResultsTree(Path("here")), plant(Path("there"), *study_of({"linear": 0.5}, seeds=1))
    key = next(iter(there.run_folders()))
    (there.root / "failed").mkdir()
    for name in (key, "0123456789abcdef"):
        (there.root / "failed" / f"{name}.1.json").write_text("{}")
    merge(there, here)
    assert list(here.failures()) == ["0123456789abcdef"]


def test_prune_deletes_leftovers_alone() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    folders = sorted(tree.run_folders().values())
    (folders[0] / "run.json").write_text("{")
    newer = json.loads((folders[1] / "run.json").read_text())
    (folders[1] / "run.json").write_text(json.dumps({**newer, "schema_version": 99}))
    later = json.loads((folders[3] / "run.json").read_text())
    later["spec"]["switches"]["mixup"] = "off"
    (folders[3] / "run.json").write_text(json.dumps(later))
    for name, age in (("half", ABANDONED_AFTER + 60), ("being-written", 0)):
        (tree.root / ".unfinished" / name).mkdir()
        os.utime(tree.root / ".unfinished" / name, (time.time() - age,) * 2)
    (tree.root / "failed").mkdir()
    for name in (f"{folders[2].name}.1", f"{folders[2].name}.notes", "0123456789abcdef.1"):
        (tree.root / "failed" / f"{name}.json").write_text("{}")
    (tree.root / ".claims").mkdir(exist_ok=True)
    (tree.root / ".claims" / "dead.1").write_text(json.dumps(vars(replace(Owner.this(), began="0"))))
    (tree.root / ".checkpoints").mkdir()
    for name in (folders[2].name, "0123456789abcdef"):
        (tree.root / ".checkpoints" / f"{name}.safetensors").touch()
    for name, age in ((".torn.1", ABANDONED_AFTER + 60), (".torn.2", 0)):
        (tree.root / ".checkpoints" / name).touch()
        os.utime(tree.root / ".checkpoints" / name, (time.time() - age,) * 2)
    living = tree.claims.take("living")
    assert isinstance(living, Claim)
    planned = prune(tree, dry_run=True)
    assert folders[0].exists()
    assert prune(tree) == planned
    living.release()
    whys = ["abandoned", "abandoned", "damaged", "abandoned", "made up for", "made up for"]
    assert [line.partition(":")[0] for line in planned.changes] == whys
    assert [path.stem for path in tree.checkpoints()] == ["0123456789abcdef"]
    assert len(planned.remarks) == 2
    assert not folders[0].exists()
    assert all(folder.exists() for folder in folders[1:])
    assert (tree.root / ".unfinished" / "being-written").exists()
    kept = sorted(path.name for path in (tree.root / "failed").iterdir())
    assert kept == sorted(["0123456789abcdef.1.json", f"{folders[2].name}.notes.json"])
    assert prune(tree).changes == []


def test_what_cannot_be_read_now_is_not_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    read_bytes = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "run.json":
            raise OSError(5, "Input/output error")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    done = prune(tree)
    assert (done.changes, len(done.remarks)) == ([], 5)
    assert len(tree.run_folders()) == 5


def test_migrate_rewrites_old_records_and_files_them_anew() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    folder = sorted(tree.run_folders().values())[0]
    data = json.loads((folder / "run.json").read_text())
    del data["meta_info"]["method_info"], data["train_info"]["redundant_parameters"]
    data["train_info"]["energy_kwh"] = 3.5
    (folder / "run.json").write_text(json.dumps(data))
    elsewhere = tree.root / "a" / "b" / "c" / folder.name
    elsewhere.parent.mkdir(parents=True)
    folder.rename(elsewhere)
    assert len(migrate(tree, dry_run=True).changes) == 2
    assert len(migrate(tree).changes) == 2
    assert migrate(tree) == Done()
    after = json.loads((folder / "run.json").read_text())
    assert after["meta_info"]["method_info"] == {}
    assert after["train_info"]["energy_kwh"] == 3.5
