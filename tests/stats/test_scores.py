"""Runs gathered into one configuration: same clips or an error, failures counted, sources kept whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from petl_bench.errors import UserError
from petl_bench.records import Predictions
from petl_bench.stats.engine import contrast
from petl_bench.stats.outcomes import correctness
from petl_bench.stats.scores import RunScores, collect, require_same_clips
from tests.stats.example import scores_of


def run(
    fold: int = 1,
    seed: int = 0,
    ids: str = "ab",
    values: Sequence[float] = (1, 0),
    sources: Sequence[str] | None = None,
) -> RunScores:
    return RunScores(
        fold, seed, np.array(list(ids)), np.array(values, dtype=float), None if sources is None else np.array(sources)
    )


def test_clips_are_matched_by_id_not_by_position() -> None:
    scores = collect("m", [run(seed=0, ids="ab", values=(1, 0)), run(seed=1, ids="ba", values=(1, 0))])
    assert scores.clip_ids.tolist() == ["a", "b"]
    assert scores.values.tolist() == [[1, 0], [0, 1]]


def test_order_of_runs_does_not_matter() -> None:
    runs = [run(fold, seed, ids) for fold, ids in ((2, "cd"), (1, "ab")) for seed in (3, 1)]
    first, second = collect("m", runs), collect("m", runs[::-1])
    assert first.clip_ids.tolist() == second.clip_ids.tolist() == list("abcd")
    assert first.seeds == second.seeds == (1, 3)
    assert np.array_equal(first.values, second.values)


def test_a_run_that_is_not_there_is_nan_and_not_zero() -> None:
    scores = collect("m", [run(1, 0, "ab"), run(1, 1, "ab"), run(2, 1, "cd")])
    assert np.isnan(scores.values).tolist() == [[False, False, True, True], [False] * 4]
    assert scores.seed_counts.tolist() == [2, 1]
    assert scores.seed_means.tolist() == [1, 0, 1, 0]


def test_a_run_with_a_score_that_is_not_finite_is_left_out_and_counted() -> None:
    scores = collect("m", [run(seed=0), run(seed=1, values=(1, np.nan)), run(seed=2, values=(np.inf, 0))])
    assert scores.seeds == (0,)
    assert scores.excluded_runs == ((1, 1), (1, 2))
    assert scores.seed_means.tolist() == [1, 0]
    assert "m: runs left out because a score is not finite: 2 (fold 1 seed 1, fold 1 seed 2)" in scores.notes()


def test_a_fold_whose_runs_are_all_left_out_is_still_due() -> None:
    scores = collect("m", [run(1), run(2, ids="cd", values=(np.nan, 1))])
    assert scores.protocol_folds == (1, 2)
    assert scores.tested_folds == (1,)


def test_a_configuration_without_a_run_is_empty() -> None:
    scores = collect("m", [], [1, 2])
    assert scores.clip_ids.size == scores.values.size == scores.source_count == 0
    assert scores.protocol_folds == (1, 2)


@pytest.mark.parametrize("runs", [[run(), run()], []])
def test_nonsense_is_refused(runs: list[RunScores]) -> None:
    with pytest.raises(ValueError, match="m: "):
        collect("m", runs)


def test_runs_of_a_fold_on_different_clips_are_an_error_that_lists_them() -> None:
    with pytest.raises(UserError, match=r"only m fold 1 seed 0: b; only m fold 1 seed 1: c"):
        collect("m", [run(seed=0, ids="ab"), run(seed=1, ids="ac")])


def test_a_clip_tested_by_two_folds_is_an_error() -> None:
    with pytest.raises(UserError, match="m: b tested twice"):
        collect("m", [run(1, ids="ab"), run(2, ids="bc")])


def test_a_clip_that_changed_its_source_is_an_error() -> None:
    with pytest.raises(UserError, match="differ in the sources of clips b"):
        collect("m", [run(seed=0, sources=("x", "y")), run(seed=1, sources=("x", "x"))])


def test_configurations_on_different_clips_are_never_cut_to_what_they_share() -> None:
    first, second = collect("A", [run(ids="ab")]), collect("B", [run(ids="bc")])
    with pytest.raises(UserError, match=r"only A: a; only B: c"):
        require_same_clips((first, second))
    with pytest.raises(UserError, match="different clips"):
        contrast((first, second), (1, -1))


def test_a_long_list_of_clips_is_cut() -> None:
    few, many = scores_of([[1.0]], [1], name="few"), scores_of([[1.0] * 40], [1] * 40, name="many")
    with pytest.raises(UserError, match=r"only few: none; only many: clip-00001, .*clip-00010 and 29 more\)"):
        require_same_clips((few, many))


def test_without_source_names_every_clip_is_a_source() -> None:
    for sources in (None, ("", "")):
        scores = collect("m", [run(sources=sources)])
        assert scores.source_count == 2
        assert scores.notes() == ["every clip counts as a source of its own"]
    assert collect("m", [run(sources=("b", ""))]).source_count == 2


def test_a_source_in_two_folds_is_one_cluster_and_is_noted() -> None:
    runs = [run(1, ids="ab", sources=("x", "y")), run(2, ids="cd", sources=("y", "y"))]
    scores = collect("m", runs)
    assert scores.source_count == 2
    assert scores.notes() == [
        "some sources have clips in more than one fold; they are clustered by source all the same"
    ]
    whole = collect("m", [run(1, ids="ab", sources=("x", "x")), run(2, ids="cd", sources=("y", "y"))])
    assert whole.notes() == []


def test_the_test_train_ratio_is_the_mean_over_folds() -> None:
    runs = [
        RunScores(fold, seed, np.array([f"{fold}"]), np.array([1.0]), None, ratio)
        for fold, seed, ratio in ((1, 0, 0.5), (1, 1, 0.5), (2, 0, 0.25), (2, 1, None))
    ]
    assert collect("m", runs).test_train_ratio == 0.375
    assert collect("m", runs[3:]).test_train_ratio is None


def test_predictions_on_record_become_scores() -> None:
    def predictions(ids: str, logits: list[list[float]]) -> Predictions:
        test = (np.array(list(ids)), np.array(["g"] * len(ids)), np.array([0, 1]), np.array(logits, dtype=np.float32))
        return Predictions(*test, *test)

    runs = {
        (1, 0): predictions("ba", [[2, 1], [2, 1]]),
        (1, 1): predictions("ba", [[2, 1], [1, 2]]),
        (2, 0): predictions("cd", [[1, 2], [1, 2]]),
    }
    scores = collect(
        "lora",
        [
            RunScores(fold, seed, found.test_ids, correctness(found.test_logits, found.test_targets), found.test_groups)
            for (fold, seed), found in runs.items()
        ],
    )
    assert scores.clip_ids.tolist() == ["a", "b", "c", "d"]
    assert scores.values[0].tolist() == [0, 1, 0, 1]
    assert scores.values[1, :2].tolist() == [1, 1]
    assert scores.source_count == 1
