"""Results trees in which anything may stand: read, left out in a line, or refused; other runs are not touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from petl_bench.checkpoints import Checkpoint, write_state
from petl_bench.claims import Claim, Claims
from petl_bench.index import FILE, read_runs
from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.folds import fold_lines, read_epochs
from petl_bench.leaderboard.pages import csv_text, json_text, markdown
from petl_bench.records import read_failure, read_predictions, read_record
from petl_bench.results import ResultsTree
from petl_bench.upkeep import merge, migrate, prune
from tests.fuzz.mutations import LONG, files_below, mutants, survive
from tests.leaderboard.trees import plant, run_of, study_of

COUNTS = [100, pytest.param(LONG, marks=pytest.mark.exhaustive)]
SECONDS = 5.0


@pytest.fixture
def tree(tmp_path: Path) -> ResultsTree:
    """Two methods, five folds, two seeds."""
    return plant(tmp_path / "results", *study_of({"linear": 0.5, "lora": 0.7}, seeds=2, clips=12))


def one_of(tree: ResultsTree) -> Path:
    return sorted(tree.run_folders().values())[0]


def written(path: Path, parse: Callable[[], object]) -> Callable[[bytes], object]:
    """Parse what a path holds after an input is written there."""

    def write_and_parse(data: bytes) -> object:
        path.write_bytes(data)
        return parse()

    return write_and_parse


@pytest.mark.parametrize("count", COUNTS)
def test_records(tree: ResultsTree, count: int) -> None:
    folder = one_of(tree)
    seeds = [(path / "run.json").read_bytes() for path in sorted(tree.run_folders().values())[:3]]
    seeds.append(json.dumps(json.loads(seeds[0])).encode())
    found = survive(written(folder / "run.json", lambda: read_record(folder)), mutants(seeds, count, 1), SECONDS)
    assert min(found.accepted, found.refused) > count / 50


@pytest.mark.parametrize("count", COUNTS)
def test_predictions(tree: ResultsTree, count: int) -> None:
    folder = one_of(tree)
    seeds = [(path / "predictions.npz").read_bytes() for path in sorted(tree.run_folders().values())[:3]]
    parse = written(folder / "predictions.npz", lambda: read_predictions(folder))
    found = survive(parse, mutants(seeds, count, 2), SECONDS)
    assert min(found.accepted, found.refused) > 1


@pytest.mark.parametrize("count", COUNTS)
def test_epochs(tree: ResultsTree, count: int) -> None:
    folder = one_of(tree)
    seeds = [(folder / "epochs.jsonl").read_bytes(), b'{"epoch": 1, "train_loss": 0.5, "validation_accuracy": 0.4}\n']
    survive(written(folder / "epochs.jsonl", lambda: read_epochs(folder)), mutants(seeds, count, 3), SECONDS)


@pytest.mark.parametrize("count", COUNTS)
def test_failures(tmp_path: Path, count: int) -> None:
    record = run_of(study_of({"linear": 0.5}, seeds=1)[0].predictions.test_targets == 0).record
    failure = {"run_key": "k", "title": "t", "error": "e", "traceback": "", "created_at": "now"}
    seed = json.dumps({**failure, "spec": record.spec.model_dump(mode="json")}).encode()
    path = tmp_path / "failure.json"
    survive(written(path, lambda: read_failure(path)), mutants([seed], count, 4), SECONDS)


@pytest.mark.parametrize("count", COUNTS)
def test_claims(tmp_path: Path, count: int) -> None:
    claims = Claims(tmp_path)
    claim = claims.take("run")
    assert isinstance(claim, Claim)
    (path,) = tmp_path.iterdir()

    def parse() -> None:
        claims.owner("run")
        list(claims.left_over())

    survive(written(path, parse), mutants([path.read_bytes()], count, 5), SECONDS)
    claim.release()


@pytest.mark.parametrize("count", COUNTS)
def test_checkpoints(tmp_path: Path, count: int) -> None:
    import torch

    path = tmp_path / "state"
    write_state(path, {"a": torch.arange(8.0), "b": torch.tensor(1)}, {"run_key": "key", "logs": []})
    whole = Checkpoint(path, "key").load()
    assert whole is not None

    def parse() -> None:
        found = Checkpoint(path, "key").load()
        assert found is None or (found[1] == whole[1] and torch.equal(found[0]["a"], whole[0]["a"]))

    survive(written(path, parse), mutants([path.read_bytes()], count, 6), SECONDS)


@pytest.mark.parametrize("count", [100, pytest.param(LONG // 4, marks=pytest.mark.exhaustive)])
def test_the_index(tmp_path: Path, count: int) -> None:
    """It is disposable: whatever stands in it, the tree is read as it is."""
    tree = plant(tmp_path / "results", *study_of({"linear": 0.5}, seeds=1, clips=12)[:2])
    expected = [run.record for run in read_runs(tree)[0]]
    index = tree.root / FILE

    def parse() -> None:
        runs, problems = read_runs(tree)
        assert ([run.record for run in runs], problems) == (expected, [])

    survive(written(index, parse), mutants([index.read_bytes()], count, 7), SECONDS)


def everything(tree: ResultsTree) -> None:
    """What verbs make of a tree: pages, folds, upkeep."""
    reports, problems = board(tree.root, every=True)
    for text in (markdown, csv_text, json_text):
        text(reports, problems)
    runs = read_runs(tree)[0]
    fold_lines([run for run in runs if run.record.spec.method.implementation == "lora"], tree.run_folders())


@pytest.mark.parametrize("count", [30, pytest.param(LONG // 4, marks=pytest.mark.exhaustive)])
def test_a_record_that_can_be_read_may_say_anything(tmp_path: Path, count: int) -> None:
    tree = plant(tmp_path / "results", *study_of({"linear": 0.5, "lora": 0.7}, seeds=1, clips=12)[:6])
    folder = one_of(tree)
    record = json.loads((folder / "run.json").read_text())

    def parse(data: bytes) -> None:
        (folder / "run.json").write_bytes(data)
        everything(tree)

    strange = [changed(record, *change) for change in CHANGES]
    survive(parse, [*strange, *mutants([json.dumps(record).encode()], count, 8)], SECONDS)
    others = [path for path in tree.run_folders().values() if path != folder]
    assert len(others) == 5
    assert all(read_record(path) and read_predictions(path) for path in others)


CHANGES = [
    (("spec", "data", "protocol", "folds"), 10**15),
    (("spec", "data", "protocol", "shots"), 10**15),
    (("spec", "data", "class_count"), 10**12),
    (("spec", "data", "metric"), "speed"),
    (("spec", "fold"), -3),
    (("spec", "fold"), 10**30),
    (("spec", "seed"), 10**30),
    (("spec", "training", "epochs"), 10**30),
    (("train_info", "num_total_params"), 0),
    (("train_info", "num_trainable_params"), -(10**30)),
    (("train_info", "parameters", "head"), 10**30),
    (("train_info", "metrics", "test", "accuracy"), -1e308),
    (("meta_info", "dataset_info", "name"), "../../x"),
    (("meta_info", "dataset_info", "name"), "x\ny|<script>\u202e"),
    (("meta_info", "dataset_info", "clips", "train"), 10**30),
    (("meta_info", "dataset_info", "limit"), "many"),
    (("meta_info", "model_info", "name"), ""),
    (("meta_info", "model_info", "note"), ["a", "list"]),
    (("meta_info", "method_info", "settings"), "text"),
    (("meta_info", "method_info", "name"), {"a": 1}),
    (("run_info", "created_at"), ""),
    (("run_info", "total_time"), -1),
    (("run_info", "config_key"), "../../x"),
    (("run_info", "run_key"), "../../x"),
]


def changed(record: dict[str, object], path: tuple[str, ...], value: object) -> bytes:
    copy = json.loads(json.dumps(record))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(copy).encode()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: ".".join(change[0]) if isinstance(change, tuple) else "")
def test_upkeep_of_strange_records_stays_in_the_tree(
    tmp_path: Path, tree: ResultsTree, change: tuple[tuple[str, ...], object]
) -> None:
    folder = one_of(tree)
    (folder / "run.json").write_bytes(changed(json.loads((folder / "run.json").read_text()), *change))
    outside = tmp_path / "outside"
    shutil.copytree(folder, outside)
    before = files_below(outside)
    target = ResultsTree(tmp_path / "merged")

    def parse(data: bytes) -> None:
        merge(tree, target)
        migrate(tree)
        prune(tree)

    survive(parse, [b""], 4 * SECONDS)
    assert files_below(outside) == before
    assert {path.name for path in tmp_path.iterdir()} == {"results", "merged", "outside"}
