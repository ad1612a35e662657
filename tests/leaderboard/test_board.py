"""Tables from trees: what shares one, whose scores stand in it, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from petl_bench.cards import AUDIOSET_MEAN
from petl_bench.errors import UserError
from petl_bench.index import read_runs
from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.pages import csv_text, markdown
from petl_bench.leaderboard.tables import scores_of
from petl_bench.metrics import evaluate
from petl_bench.runspec import WaveformFeatures
from petl_bench.switches import PROFILES
from tests.leaderboard.trees import plant, run_of, study_of, template


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_scores_are_the_mean_over_clips_and_seeds() -> None:
    right = np.array([True, True, False, False])
    runs = [run_of(right if seed else ~right, fold=fold, seed=seed) for fold in (1, 2, 3, 4, 5) for seed in (0, 1)]
    runs.append(run_of(np.array([True] * 4), fold=1, seed=2))
    plant(Path("results"), *runs)
    row = board(Path("results"))[0][0]["rows"][0]
    assert row["score"] == pytest.approx((4 * 0.5 + (0.5 + 0.5 + 1) / 3) / 5, abs=1e-8)
    assert (row["runs"], row["expected_runs"]) == (11, 15)


def test_rows_of_other_conditions_never_share_a_table() -> None:
    right = np.array([True, False, True, True])
    record = template().record
    training = record.spec.training
    conditions = [
        {},
        {"switches": PROFILES["published"]},
        {"backbone": "0" * 16},
        {"training": training.model_copy(update={"batch_size": 4})},
        {"training": training.model_copy(update={"epochs": 9})},
        {"training": training.model_copy(update={"precision": "bf16"})},
    ]
    plant(Path("results"), *(run_of(right, fold=fold, spec=spec) for fold in (1, 2) for spec in conditions))
    features = record.spec.data.features.model_copy(update={"mean": AUDIOSET_MEAN + 1})
    other = record.spec.data.model_copy(update={"features": features})
    plant(Path("results"), *(run_of(right, fold=fold, spec={"data": other}) for fold in (1, 2)))
    reports, _ = board(Path("results"))
    assert len(reports) == len(conditions) + 1
    headings = [line for line in markdown(reports).splitlines() if line.startswith("## ")]
    assert len(set(headings)) == len(headings)
    assert any("features.mean" in heading.replace("\\", "") for heading in headings)
    lines = csv_text(reports).splitlines()[1:]
    assert len({line.split(",")[0] for line in lines}) == len(lines)


def test_sweep_levels_are_left_out_unless_asked_for() -> None:
    plant(
        Path("results"),
        *study_of({"linear": 0.7}, seeds=1),
        *study_of({"linear": 0.5}, seeds=1, overrides={"pooling": "cls"}),
    )
    report = board(Path("results"))[0][0]
    assert [row["method"] for row in report["rows"]] == ["linear"]
    assert "not shown: 1 configuration that equals no card (--all shows them)" in report["notes"]
    every = board(Path("results"), every=True)[0][0]
    assert [row["method"] for row in every["rows"]] == ["linear", "linear (pooling = cls)"]


def test_incomplete_rows_stand_below_without_rank_or_test() -> None:
    runs = study_of({"linear": 0.5, "full": 0.9}, seeds=2)
    kept = [run for run in runs if not (run.record.spec.method.implementation == "full" and run.record.spec.fold > 3)]
    plant(Path("results"), *kept)
    report = board(Path("results"))[0][0]
    assert [(row["method"], row["incomplete"]) for row in report["rows"]] == [
        ("linear", ""),
        ("full", "incomplete (3/5 folds)"),
    ]
    assert report["rows"][1]["low"] is None
    assert not report["rows"][1]["not_worse_than_best"]
    assert "incomplete (3/5 folds), no rank and no test: full" in report["notes"]


def test_identical_runs_share_the_best_ones_letter() -> None:
    right = np.array([True, False, True, True, False, True])
    plant(
        Path("results"),
        *(
            run_of(right, name=name, fold=fold, seed=seed)
            for name in ("linear", "full")
            for fold in range(1, 6)
            for seed in (0, 1)
        ),
    )
    report = board(Path("results"))[0][0]
    assert all(row["not_worse_than_best"] for row in report["rows"])
    assert {row["letters"] for row in report["rows"]} == {"a"}


def test_an_empty_tree_and_no_tree() -> None:
    with pytest.raises(UserError, match="no such folder"):
        board(Path("results"))
    Path("results").mkdir()
    assert board(Path("results")) == ([], [])
    assert "No runs yet." in markdown([])
    assert csv_text([]).startswith("table,benchmark,")


def test_macro_f1_and_balanced_accuracy_are_scored_by_source() -> None:
    """Their mean is the metric itself, and the page counts clips, not pseudo-clips."""
    random = np.random.default_rng(0)
    for metric in ("macro_f1", "balanced_accuracy"):
        data = template().record.spec.data.model_copy(update={"metric": metric, "fingerprint": "f" * 16})
        run = run_of(random.random(60) < 0.7, spec={"data": data}, predicted_wrong=1)
        tree = plant(Path(f"results-{metric}"), run)
        runs, _ = read_runs(tree)
        scores = scores_of("x", runs)
        expected = evaluate(run.predictions.test_logits, run.predictions.test_targets)[metric]
        assert len(scores.clip_ids) == 30
        assert float(scores.seed_means.mean()) == pytest.approx(expected, abs=1e-9)
        report = board(tree.root)[0][0]
        assert (report["test_clips"], report["sources"]) == (60, 30)
        assert report["rows"][0]["score"] == pytest.approx(expected, abs=1e-8)


def test_rows_are_not_marked_where_there_is_no_test() -> None:
    right = np.random.default_rng(0).random(40)
    plant(
        Path("results"),
        *(
            run_of(right < level, name=name, fold=fold)
            for name, level in (("linear", 0.2), ("full", 0.9))
            for fold in (1, 2)
        ),
    )
    data = board(Path("results"))[0][0]
    assert [row["incomplete"] for row in data["rows"]] == ["incomplete (2/5 folds)"] * 2
    constant = [
        run_of(np.full(8, name == "full"), name=name, fold=fold, benchmark="esc10")
        for name in ("linear", "full")
        for fold in range(1, 6)
    ]
    plant(Path("constant"), *constant)
    data = board(Path("constant"))[0][0]
    assert not any(row["letters"] or row["not_worse_than_best"] for row in data["rows"])
    assert any(note.startswith("rows are not marked, some pairs have no test") for note in data["notes"])


def test_the_page_counts_all_clips_though_the_first_row_lacks_folds() -> None:
    runs = study_of({"linear": 0.5, "full": 0.9}, seeds=1)
    plant(
        Path("results"),
        *(run for run in runs if run.record.spec.method.implementation == "linear" or run.record.spec.fold < 3),
    )
    data = board(Path("results"))[0][0]
    assert (data["test_clips"], data["sources"], len(data["fold_sizes"])) == (200, 100, 5)


@pytest.mark.parametrize(
    ("backbone", "waveforms", "sources"),
    [
        ("MIT/ast-finetuned-audioset-10-10-0.4593", False, {"Table 1"}),
        ("mini", False, {"Table 1"}),
        ("facebook/wav2vec2-base-960h", True, {"Table 3"}),
        ("wav2vec2-base-960h", True, {"Table 3"}),
        ("wavlm-base", True, set()),
    ],
)
def test_published_results_stand_beside_rows_of_their_backbone(
    backbone: str, waveforms: bool, sources: set[str]
) -> None:
    made = run_of(np.array([True, False]), benchmark="gsc")
    if waveforms:
        data = made.record.spec.data.model_copy(update={"features": WaveformFeatures(frames=100)})
        made = run_of(np.array([True, False]), benchmark="gsc", spec={"data": data})
    meta = made.record.meta_info
    meta = meta.model_copy(update={"model_info": {**meta.model_info, "name": backbone}})
    plant(Path("results"), replace(made, record=made.record.model_copy(update={"meta_info": meta})))
    published = board(Path("results"))[0][0]["rows"][0]["published"]
    assert {reference["source"].rpartition(", ")[2] for reference in published} == sources


@pytest.mark.parametrize(
    ("sizes", "limit", "shots", "noted"),
    [
        ({"train": 1226, "validation": 246, "test": 528}, None, None, True),
        ({"train": 1226, "validation": 246, "test": 528}, 50, None, False),
        ({"train": 80, "validation": 246, "test": 528}, None, 8, False),
        ({"train": 30769, "validation": 3703, "test": 4074}, None, None, False),
    ],
)
def test_a_sample_of_a_benchmark_is_called_one(
    sizes: dict[str, int], limit: int | None, shots: int | None, noted: bool
) -> None:
    """gsc10's card counts 38,546 clips; what ``limit`` and ``shots`` leave out is said where they are named."""
    run = run_of(np.array([True, False]), benchmark="gsc10")
    meta = run.record.meta_info
    info = {**meta.dataset_info, "clips": sizes, "limit": limit}
    data = run.record.spec.data
    data = data.model_copy(update={"protocol": data.protocol.model_copy(update={"shots": shots})})
    record = run.record.model_copy(
        update={
            "meta_info": meta.model_copy(update={"dataset_info": info}),
            "spec": run.record.spec.model_copy(update={"data": data}),
        }
    )
    plant(Path("results"), replace(run, record=record))
    said = "gsc10: 2,000 clips, the card says 38,546: results are not those of the whole data set"
    assert (said in board(Path("results"))[0][0]["notes"]) is noted
