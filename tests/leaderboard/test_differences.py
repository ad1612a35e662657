"""What compare says: the numbers are the statistics', the words follow the rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from petl_bench.errors import UserError
from petl_bench.leaderboard.board import read_tables
from petl_bench.leaderboard.comparison import compare_rows
from petl_bench.leaderboard.differences import differences, over_datasets
from petl_bench.stats.comparisons import compare
from petl_bench.switches import PROFILES
from tests.leaderboard.trees import plant, run_of, study_of


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_differences_are_those_of_the_statistics() -> None:
    plant(Path("results"), *study_of({"linear": 0.4, "full": 0.8, "lora": 0.78}))
    table = read_tables(Path("results"))[0][0]
    rows = differences(table, None, 0.1)
    scores = {row.name.text: row.scores for row in table.rows}
    expected = compare([scores[name] for name in ("full", "lora", "linear")], None, 0.1)
    pairs = [("full", "lora"), ("full", "linear"), ("lora", "linear")]
    assert [(row["method"], row["reference"]) for row in rows] == pairs
    for row, comparison in zip(rows, expected.rows, strict=True):
        assert row["difference"] == pytest.approx(comparison.difference.value, abs=1e-8)
        assert row["p"] == pytest.approx(comparison.difference.p_value, rel=1e-8)
        assert row["p_holm"] == pytest.approx(comparison.holm_p, rel=1e-8)
        assert row["test"] == "two-way"
    assert rows[1]["verdict"].startswith("better")
    assert all(row["difference"] >= 0 for row in rows)
    assert "no difference" not in " ".join(row["verdict"] for row in rows)


def test_a_baseline_makes_the_family() -> None:
    plant(Path("results"), *study_of({"linear": 0.4, "full": 0.8, "lora": 0.78}))
    rows = differences(read_tables(Path("results"))[0][0], "linear", None)
    assert [(row["method"], row["reference"]) for row in rows] == [("full", "linear"), ("lora", "linear")]
    assert "margin" not in rows[0]


def test_one_seed_is_tested_over_folds_and_says_so() -> None:
    plant(Path("results"), *study_of({"linear": 0.4, "full": 0.8}, seeds=1))
    row = differences(read_tables(Path("results"))[0][0], None, None)[0]
    assert row["test"] == "fold t"
    assert any("seed variance not estimable" in note for note in row["notes"])
    assert row["welch_p"] is None


def test_data_sets_are_averaged_with_equal_weights() -> None:
    for benchmark, gap in (("synthetic", 0.3), ("esc10", 0.1), ("gsc", 0.2)):
        plant(Path("results"), *study_of({"linear": 0.5, "full": 0.5 + gap}, benchmark=benchmark))
    tables = read_tables(Path("results"))[0]
    assert len(tables) == 3
    (row,) = over_datasets(tables, "linear")
    assert row["mean"] == pytest.approx(sum(row["differences"].values()) / 3, abs=1e-8)
    assert row["wins"] + row["ties"] + row["losses"] == 3
    assert row["p_new_data_set"] is not None
    assert over_datasets(tables[:1], "linear") == []


def test_backbones_and_switches_are_compared_only_where_that_is_asked_for() -> None:
    plant(
        Path("results"),
        *study_of({"linear": 0.4}),
        *study_of({"linear": 0.6}, spec={"switches": PROFILES["published"]}),
    )
    assert [len(table.rows) for table in read_tables(Path("results"))[0]] == [1, 1]
    (table,) = read_tables(Path("results"), "switches")[0]
    names = [row.name.text for row in table.rows]
    assert names == ["linear, corrected", "linear, published"]
    (row,) = differences(table, None, None)
    assert (row["method"], row["reference"]) == ("linear, published", "linear, corrected")


def test_a_table_in_which_the_baseline_lacks_runs_is_left_out_and_the_others_are_compared() -> None:
    whole, other = np.array([True, False, True, True]), np.array([True, True, True, False])
    plant(Path("results"), *(run_of(whole, fold=fold) for fold in (1, 2, 3, 4, 5)))
    plant(Path("results"), *(run_of(other, name="lora", fold=fold) for fold in (1, 2, 3, 4, 5)))
    plant(Path("results"), run_of(whole, benchmark="tried"), run_of(other, name="lora", benchmark="tried"))
    compared = compare_rows(Path("results"), (), baseline="linear")
    assert [table["benchmark"] for table in compared.tables] == ["synthetic"]
    assert compared.left_out == ["tried (incomplete (1/5 folds)): nothing can be compared with linear"]
    with pytest.raises(UserError, match=r"nothing can be compared with it on tried \(incomplete"):
        compare_rows(Path("results"), (), datasets=("tried",), baseline="linear")
