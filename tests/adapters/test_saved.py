"""Adapters on disk: with their runs, whole or not at all; damage is named and costs no run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from petl_bench.adapters.find import note_on_missing
from petl_bench.adapters.saved import read_adapter, write_adapter
from petl_bench.index import read_runs
from petl_bench.records import DamagedError, FinishedRun, NewerRecordError
from petl_bench.results import ResultsTree
from petl_bench.upkeep import merge, migrate, prune
from tests.adapters.exported import SAVING, filed, trained
from tests.studies import Command, Study

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETL_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield trained(methods=("conformer",))[0]


@pytest.fixture
def tree(tmp_path: Path) -> ResultsTree:
    return ResultsTree(tmp_path / "results")


def test_an_adapter_holds_all_that_was_trained_and_the_buffers(tree: ResultsTree, run: FinishedRun) -> None:
    adapter = read_adapter(filed(tree, run) / "adapter")
    assert run.adapter is not None
    assert adapter.config == run.adapter.config
    assert adapter.tensors.keys() == run.adapter.tensors.keys()
    assert all(np.array_equal(adapter.tensors[name], array) for name, array in run.adapter.tensors.items())
    names = " ".join(adapter.tensors)
    assert all(part in names for part in ("head.weight", "layernorm.weight", "running_mean", "num_batches_tracked"))
    trained_tensors = {name: array for name, array in adapter.tensors.items() if not name.endswith(BUFFERS)}
    assert sum(array.size for array in trained_tensors.values()) == run.record.train_info.num_trainable_params
    assert adapter.config.spec == run.record.spec
    assert adapter.config.spec.run_key() == adapter.config.run_key == run.record.run_info.run_key


@pytest.mark.parametrize("name", ["adapter.safetensors", "config.json"])
@pytest.mark.parametrize("damage", ["removed", "cut", "a bit"])
def test_damage_is_named(tmp_path: Path, run: FinishedRun, name: str, damage: str) -> None:
    assert run.adapter is not None
    write_adapter(tmp_path / "adapter", run.adapter)
    file = tmp_path / "adapter" / name
    data = bytearray(file.read_bytes())
    if damage == "removed":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    else:
        at = data.index(b"4.26") if name == "config.json" else len(data) - 1
        data[at] ^= 1
        file.write_bytes(data)
    with pytest.raises(DamagedError, match=f"{tmp_path}/adapter/"):
        read_adapter(tmp_path / "adapter")


def test_an_adapter_of_a_later_version_is_not_damaged(tmp_path: Path, run: FinishedRun) -> None:
    assert run.adapter is not None
    write_adapter(tmp_path / "adapter", run.adapter)
    path = tmp_path / "adapter" / "config.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "schema_version": 99}))
    with pytest.raises(NewerRecordError, match=r"config\.json: a newer petl-bench wrote it"):
        read_adapter(tmp_path / "adapter")
    said["spec"]["switches"]["mixup"] = "off"
    path.write_text(json.dumps(said))
    with pytest.raises(NewerRecordError):
        read_adapter(tmp_path / "adapter")


def test_a_run_is_not_filed_without_the_adapter_that_it_has(tree: ResultsTree, run: FinishedRun) -> None:
    assert run.adapter is not None
    tree.prepare()
    unwritable = replace(run.adapter, tensors={"x": np.array([object()])})
    with pytest.raises(Exception, match="object|dtype|O"):
        tree.write(replace(run, adapter=unwritable))
    assert tree.run_folders() == {}
    assert list((tree.root / ".unfinished").iterdir()) == []


def test_validate_names_the_damaged_file(tree: ResultsTree, run: FinishedRun, command: Command) -> None:
    folder = filed(tree, run)
    for path in (tree.root, folder, folder / "adapter"):
        code, out, _ = command("validate", str(path))
        assert (code, out.startswith("ok ")) == (0, True)
    tensors = folder / "adapter" / "adapter.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    for path in (tree.root, folder, folder / "adapter"):
        code, out, err = command("validate", str(path))
        assert code == 2
        assert out.startswith(f"wrong  {tensors}: not readable tensors")
        assert "1 of them is wrong" in err
    (folder / "predictions.npz").unlink()
    assert command("validate", str(folder))[1].count("wrong  ") == 2
    code, out, _ = command("validate", str(tree.root / "synthetic" / "mini" / "conformer"))
    assert (code, "no run and no adapter in it" in out) == (2, True)


def test_trees_with_adapters_are_merged_pruned_and_read(tmp_path: Path, tree: ResultsTree, run: FinishedRun) -> None:
    folder = filed(tree, run)
    other = ResultsTree(tmp_path / "other")
    assert len(merge(tree, other).changes) == 1
    copied = other.folder_of(run.record)
    assert read_adapter(copied / "adapter").config == read_adapter(folder / "adapter").config
    assert (migrate(tree).changes, prune(tree).changes) == ([], [])
    assert len(read_runs(tree)[0]) == 1

    (folder / "adapter" / "config.json").write_text("{")
    third = ResultsTree(tmp_path / "third")
    done = merge(tree, third)
    assert len(done.changes) == 1
    assert done.remarks == [f"not copied: {folder}/adapter/config.json: not the configuration of an adapter (JSONDecodeError)"]  # fmt: skip
    assert {path.name for path in third.folder_of(run.record).iterdir()} == {"run.json", "epochs.jsonl", "predictions.npz"}  # fmt: skip
    assert prune(tree).changes == [f"damaged: {folder / 'adapter'}"]
    assert tree.run_folders().keys() == {run.record.run_info.run_key}


def test_runs_on_record_are_not_trained_again_for_their_adapters(study: Study) -> None:
    study.run(methods=("linear",))
    keys = list(study.tree.run_folders())
    assert study.run(methods=("linear",), execution=SAVING).skipped == 1
    assert note_on_missing(keys, study.tree) == [
        "1 run was on record without an adapter: run --force --save-adapters trains such runs again"
    ]
    assert study.run(methods=("linear",), execution=SAVING, force=True).trained == 1
    assert note_on_missing(keys, study.tree) == []


def test_run_says_how_many_runs_lack_an_adapter(command: Command) -> None:
    given = ["run", "--methods", "linear", "--dataset", "synthetic", "--epochs", "1", "--limit", "1"]
    given += ["--executor", "in_process"]
    assert command(*given, "--folds", "1,2")[0] == 0
    out = command(*given, "--folds", "1-3", "--save-adapters")[1]
    assert "1 run to train, 2 already on record" in out
    assert "- 2 runs were on record without an adapter: run --force --save-adapters trains such runs again" in out
    assert len(list(Path("results").glob("*/*/*/*/adapter/config.json"))) == 1


def test_adapters_are_read_without_torch(tree: ResultsTree, run: FinishedRun) -> None:
    folder = filed(tree, run)
    code = (
        "import sys; from pathlib import Path; from petl_bench.adapters.find import find_adapter\n"
        "from petl_bench.adapters.saved import read_adapter\n"
        "read_adapter(find_adapter(sys.argv[1], Path('results'))); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code, str(folder)], text=True) == "False\n"


def test_an_adapter_that_does_not_fit_its_classes_is_refused(run: FinishedRun) -> None:
    assert run.adapter is not None
    said = run.adapter.config.model_dump(mode="json")
    with pytest.raises(ValueError, match="class_names does not name every class"):
        type(run.adapter.config).model_validate({**said, "class_names": ["one"]})
