"""What tables say of budgets that ended too early, and of times that do not compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.training_notes import notes_on_time, notes_on_training
from petl_bench.records import RunRecord
from tests.leaderboard.trees import plant, run_of


def best_at(*epochs: int) -> list[RunRecord]:
    """Records of runs that were best in validation after these of ten epochs."""
    record = run_of(np.array([True, False])).record
    training = record.spec.training.model_copy(update={"epochs": 10})
    spec = record.spec.model_copy(update={"training": training})
    return [
        record.model_copy(
            update={"spec": spec, "train_info": record.train_info.model_copy(update={"best_epoch": epoch})}
        )
        for epoch in epochs
    ]


def test_rows_of_which_most_runs_were_still_learning_are_named() -> None:
    rows = {"linear": best_at(10, 10, 7), "lora": best_at(10, 9), "full": best_at(3, 4, 5)}
    assert notes_on_training(rows) == [
        "best in validation after their last epoch, so that longer training may change scores and order: "
        "linear 2/3 runs"
    ]
    assert notes_on_training({"full": best_at(1)}) == []


def lasting(*seconds: float) -> list[RunRecord]:
    (record,) = best_at(1)
    return [
        record.model_copy(update={"run_info": record.run_info.model_copy(update={"total_time": time})})
        for time in seconds
    ]


def test_times_of_a_busy_machine_are_said_not_to_compare() -> None:
    assert notes_on_time({"linear": lasting(0.1, 2.6), "lora": lasting(20.0, 21.0, 26.0)}) == []
    (line,) = notes_on_time({"linear": lasting(0.0, 2.6), "lora": lasting(20.0, 21.0, 60.0)})
    assert line.startswith("runs of one method differ up to 3.0-fold in time")


def test_the_board_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_of(np.array([True, False]))
    plant(Path("results"), run)
    last = run.record.train_info.best_epoch == run.record.spec.training.epochs
    notes = board(Path("results"))[0][0]["notes"]
    assert any(note.endswith("linear 1/1 runs") for note in notes) is last
