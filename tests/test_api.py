"""Comparisons from Python: the same numbers as the verbs give."""

from __future__ import annotations

import csv
import gc
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

import petl_bench
from petl_bench import api
from petl_bench.errors import UserError
from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.summary import records_frame
from petl_bench.results import ResultsTree
from tests.leaderboard.trees import plant, study_of
from tests.studies import Command

TINY = {"folds": [1], "epochs": 1, "limit": 1, "device": "cpu", "executor": "in_process"}


@pytest.fixture
def tree(tmp_path: Path) -> ResultsTree:
    return plant(tmp_path / "results", *study_of({"linear": 0.5, "lora": 0.7, "full": 0.8}, seeds=2, clips=20))


def test_run_trains_what_is_not_on_record_and_gives_a_row_per_run() -> None:
    frame = api.run(["linear", "lora"], "synthetic", seeds=range(2), **TINY)
    assert frame[["method", "fold", "seed"]].values.tolist() == [
        [method, 1, seed] for method in ("linear", "lora") for seed in (0, 1)
    ]
    records, _ = ResultsTree(Path("results")).records()
    again = records_frame(records).set_index("run_key").loc[frame["run_key"]].reset_index()
    pd.testing.assert_frame_equal(frame.drop(columns="method")[again.columns], again)
    stamps = {path: path.stat().st_mtime_ns for path in Path("results").glob("*/*/*/*/run.json")}
    once_more = api.run("linear", "synthetic", **TINY)
    assert once_more["run_key"].tolist() == frame["run_key"].tolist()[:1]
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_run_that_fails_is_a_warning_and_has_no_row() -> None:
    Path("bad.py").write_text(
        "from petl_bench import Method\nclass Bad(Method):\n    def attach(self, backbone):\n        raise ValueError('no')\n"
    )
    with pytest.warns(UserWarning, match="Bad on synthetic, fold 1, seed 0: ValueError: no"):
        frame = api.run(["bad.py", "linear"], "synthetic", **TINY)
    assert frame["method"].tolist() == ["linear"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"job": 1}, r"unknown key 'job' \(did you mean 'jobs'\?\); allowed here"),
        ({"jobs": 0}, "jobs = 0: input should be greater than 0"),
        ({"devices": ("cpu",)}, "no argument 'devices': device says where"),
        ({"device": "cuda:77"}, "cuda:77 is not usable here"),
        ({"precision": "fp8"}, r"precision = 'fp8'.*: one of fp32, bf16"),
        ({"profile": "corected"}, r"profile = 'corected' \(did you mean 'corrected'\?\)"),
        ({"limit": 0}, "limit = 0: give a whole number from 1"),
        ({"folds": []}, "folds is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": "0-2"}, "seeds = '0-2': give a whole number or several"),
        ({"seeds": [0.5]}, "seeds: 0.5 is not allowed"),
        ({"methods": []}, "methods is empty: name at least one"),
        ({"methods": [3]}, "methods: 3 is no word"),
        ({"switches": "inti=zero"}, "--switch 'inti=zero'.*did you mean 'init'"),
        ({"settings": "lora.ranks=3"}, "no setting 'ranks'"),
    ],
)
def test_mistakes_are_one_line(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        api.run(**{"methods": "lora", "dataset": "synthetic", **TINY, **wrong})  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert not Path("results").exists()


def test_a_seed_a_fold_and_a_setting_may_stand_alone_and_no_file_stays_open() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        frame = api.run(
            "lora", "synthetic", seeds=4, settings="lora.rank=2", switches="init=zero", **TINY | {"folds": 1}
        )
        gc.collect()
    assert frame[["fold", "seed"]].values.tolist() == [[1, 4]]


def test_what_cannot_be_compared_or_shown_is_said(tree: ResultsTree, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"across = 'backbones' \(did you mean 'backbone'\?\): one of backbone, switches"
    ):
        api.compare(results=tree.root, across="backbones")  # type: ignore[arg-type]
    alone = plant(tmp_path / "alone", *study_of({"linear": 0.5}, seeds=2, clips=20))
    with pytest.raises(UserError, match="holds two methods under the same conditions"):
        api.compare(results=alone.root)
    with pytest.raises(UserError, match="top = 0: give a whole number from 1"):
        api.predict("nowhere", "a.wav", top=0)


def test_compare_has_the_numbers_of_the_verb(tree: ResultsTree, command: Command) -> None:
    options = ["--baseline", "linear", "--margin", "2", "--results", str(tree.root), "--json"]
    (table,) = json.loads(command("compare", *options)[1])["tables"]
    frame = api.compare(baseline="linear", margin=2, results=tree.root)
    assert frame["method"].tolist() == [row["method"] for row in table["comparisons"]]
    for column in ("difference", "low", "high", "p", "p_holm", "p_equivalent_holm", "verdict"):
        assert frame[column].tolist() == [row[column] for row in table["comparisons"]]
    assert frame["benchmark"].tolist() == ["synthetic"] * 2
    assert len(api.compare("lora", "full", results=tree.root)) == 1
    with pytest.raises(UserError, match=r"no runs of 'lor' in .* \(did you mean 'lora'\?\)"):
        api.compare("lor", "full", results=tree.root)


def test_leaderboard_has_the_rows_of_the_csv(tree: ResultsTree, command: Command) -> None:
    text = command("leaderboard", "--format", "csv", "--results", str(tree.root))[1]
    lines = list(csv.DictReader(text.splitlines()))
    frame = api.leaderboard(tree.root)
    assert frame.columns.tolist() == list(lines[0])
    assert [str(score) for score in frame["score"]] == [line["score"] for line in lines]
    ((report,), _) = board(tree.root)
    assert frame["method"].tolist() == [row["method"] for row in report["rows"]]


def test_what_is_left_out_is_a_warning(tree: ResultsTree) -> None:
    next(iter(tree.run_folders().values())).joinpath("run.json").write_text("{")
    with pytest.warns(UserWarning, match=r"left out: .*run\.json: not a readable run record"):
        api.leaderboard(tree.root)
    with pytest.raises(UserError, match="no such folder"):
        api.leaderboard("nowhere")


def test_the_package_offers_them_and_stays_quick() -> None:
    assert (petl_bench.run, petl_bench.compare, petl_bench.predict) == (api.run, api.compare, api.predict)
    code = "import petl_bench.api as api, sys; api.compare; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
