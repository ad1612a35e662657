"""The summary's arithmetic, on records with known numbers."""

from __future__ import annotations

import pytest

from petl_bench.leaderboard.summary import summary
from petl_bench.records import FinishedRun, RunRecord
from tests.studies import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETL_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return train(methods=("conformer",))


def record_of(run: FinishedRun, fold: int, seed: int, accuracy: float) -> RunRecord:
    """The run's record with another fold, seed and test accuracy."""
    record = run.record
    info = record.train_info
    metrics = {**info.metrics, "test": {**info.metrics["test"], "accuracy": accuracy}}
    return record.model_copy(
        update={
            "spec": record.spec.model_copy(update={"fold": fold, "seed": seed}),
            "train_info": info.model_copy(update={"metrics": metrics}),
            "run_info": record.run_info.model_copy(update={"run_key": f"{fold}-{seed}"}),
        }
    )


def test_folds_are_averaged_after_their_seeds(run: FinishedRun) -> None:
    """Fold means 0.5 and 0.8: mean 0.65, standard deviation with ddof 1 0.2121; the mean of all runs would be 0.6."""
    accuracies = {(1, 0): 0.4, (1, 1): 0.6, (2, 0): 0.8}
    records = [record_of(run, fold, seed, accuracy) for (fold, seed), accuracy in accuracies.items()]
    rows = [("a", f"{fold}-{seed}") for fold in (1, 2) for seed in (0, 1)]
    (row,) = summary(records, [*rows]).to_dict("records")
    assert row["score"] == pytest.approx(0.65)
    assert row["fold_sd"] == pytest.approx(0.0450**0.5)
    assert (row["runs"], row["expected"], row["folds"]) == (3, 4, 2)


def test_the_seed_reports_table_comes_out_as_printed(run: FinishedRun) -> None:
    """86.00, 86.50, 86.75, 85.75, 83.50: mean 85.70; its 1.16 is the population's, ours is the sample's 1.29."""
    printed = [86.00, 86.50, 86.75, 85.75, 83.50]
    records = [record_of(run, fold, 0, score / 100) for fold, score in enumerate(printed, start=1)]
    (row,) = summary(records, [("a", f"{fold}-0") for fold in range(1, 6)]).to_dict("records")
    assert round(100 * row["score"], 2) == 85.70
    assert round(100 * row["fold_sd"] * (4 / 5) ** 0.5, 2) == 1.16
    assert round(100 * row["fold_sd"], 2) == 1.29


def test_a_row_without_runs_stays_in_the_table(run: FinishedRun) -> None:
    frame = summary([record_of(run, 1, 0, 0.5)], [("b", "missing"), ("a", "1-0")])
    assert list(frame["method"]) == ["b", "a"]
    assert list(frame["runs"]) == [0, 1]
    assert list(summary([], [("b", "missing")])["expected"]) == [1]


def test_two_names_of_one_run_are_two_rows(run: FinishedRun) -> None:
    frame = summary([record_of(run, 1, 0, 0.5)], [("a", "1-0"), ("b", "1-0")])
    assert list(frame["score"]) == [0.5, 0.5]


def test_parameters_stand_by_role(run: FinishedRun) -> None:
    (row,) = summary([run.record], [("a", run.record.run_info.run_key)]).to_dict("records")
    channels = 128 // 16
    adapter = 128 * 2 * channels + 2 * channels + channels * 8 + channels + 2 * channels + channels * 128 + 128
    assert row["adapter"] == 6 * adapter
    assert row["norm"] == 7 * 256
    assert row["head"] == 1_290
    assert row["adapted_parameters"] == row["adapter"] + row["norm"]
