"""Tables from trees: what shares one, what a row is called, what is left out, and what is said of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petl_bench.cards import AUDIOSET_MEAN
from petl_bench.errors import UserError
from petl_bench.index import FILE, read_runs
from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.names import Namer
from petl_bench.leaderboard.pages import csv_text, json_text, markdown
from petl_bench.leaderboard.tables import make_tables, scores_of
from petl_bench.metrics import evaluate
from petl_bench.records import Failure, RunRecord
from petl_bench.results import ResultsTree
from petl_bench.runspec import WaveformFeatures
from petl_bench.switches import PROFILES
from tests.leaderboard.trees import plant, run_of, study_of, template
from tests.studies import TINY, plan_of


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


def test_a_row_is_called_after_the_card_its_runs_equal() -> None:
    namer = Namer()
    lora = template().record.spec.method.model_copy(
        update={
            "implementation": "lora",
            "hyperparameters": {"rank": 6, "alpha": 16.0, "targets": ["q", "v"], "layers": "all", "pooling": "mean"},
        }
    )

    def record(**info: object) -> RunRecord:
        run = template().record
        training = run.spec.training.model_copy(
            update={"optimizer": run.spec.training.optimizer.model_copy(update={"lr": info.pop("lr", 5e-3)})}
        )
        spec = run.spec.model_copy(update={"method": lora, "training": training})
        meta = run.meta_info.model_copy(
            update={"method_info": {"name": "lora", "settings": {}, "overrides": {}, **info}}
        )
        return run.model_copy(update={"spec": spec, "meta_info": meta})

    assert namer.name(record()).text == "lora"
    assert namer.name(record(overrides={"rank": 6})).text == "lora"
    varied = namer.name(record(settings={"rank": 2}, overrides={"rank": 2}))
    assert (varied.text, varied.variant) == ("lora (rank = 2)", True)
    assert namer.name(record(lr=0.1, overrides={"lr": 0.1})).text == "lora (lr = 0.1)"
    assert namer.name(record(lr=0.1)).text == "lora (not as its card is now)"
    elsewhere = namer.name(record(name="my-lora", settings={"alpha": 8.0}))
    assert (elsewhere.text, elsewhere.variant) == ("my-lora", False)


def test_records_say_which_settings_are_not_defaults() -> None:
    plan, _ = plan_of(
        replace(
            TINY,
            methods=("conformer_houlsby", "lora"),
            settings=(
                "conformer_houlsby.kernel_size=8",
                "conformer_houlsby.reduction_rate=16",
                "lora.rank=6",
                "lora.lr=0.1",
            ),
        )
    )
    houlsby, lora = plan
    assert houlsby.settings == {"placement.location": "houlsby", "reduction_rate": 16}
    assert houlsby.overrides == {"kernel_size": 8, "reduction_rate": 16}
    assert (lora.settings, lora.overrides) == ({}, {"rank": 6, "lr": 0.1})


def test_a_local_card_names_its_runs_as_it_is_now() -> None:
    plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    Path("methods").mkdir()
    Path("methods/probe.toml").write_text('implementation = "linear"\ntitle = "x"\n[optimizer]\nlr = 1e-3\n')
    Path("methods/linear.toml").write_text('implementation = "linear"\ntitle = "x"\n[optimizer]\nlr = 2e-3\n')
    assert [row["method"] for row in board(Path("results"))[0][0]["rows"]] == ["probe"]


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


def test_the_page_survives_what_lies_about_in_a_tree() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5, "full": 0.9}, seeds=1))
    folders = sorted(tree.run_folders().values())
    (folders[0] / "run.json").write_text("{")
    (folders[1] / "predictions.npz").write_bytes(b"no zip")
    newer = json.loads((folders[2] / "run.json").read_text())
    (folders[2] / "run.json").write_text(json.dumps({**newer, "schema_version": 99}))
    (folders[3] / "predictions.npz").unlink()
    Path("results/notes.txt").write_text("garbage")
    Path("results/a/b/c/d").mkdir(parents=True)
    reports, problems = board(Path("results"))
    assert len(problems) == 4
    assert any("newer than this petl-bench reads" in problem for problem in problems)
    assert sum(row["runs"] for row in reports[0]["rows"]) == 6
    for text in (markdown, csv_text, json_text):
        assert text(reports)


def test_identical_runs_are_said_to_be() -> None:
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


def test_names_are_escaped() -> None:
    name = "<script>alert(1)</script>|*x*\n# y"
    run = template()
    meta = run.record.meta_info.model_copy(
        update={"method_info": {"name": name, "settings": {"a": 1}, "overrides": {}}}
    )
    method = run.record.spec.method.model_copy(update={"implementation": "nothing"})
    spec = run.record.spec.model_copy(update={"method": method})
    info = run.record.run_info.model_copy(update={"run_key": spec.run_key(), "config_key": spec.config_key()})
    record = run.record.model_copy(update={"meta_info": meta, "spec": spec, "run_info": info})
    plant(Path("results"), type(run)(record, [], run.predictions))
    page = markdown(board(Path("results"))[0])
    assert "<script>" not in page
    assert r"\<script\>alert(1)\</script\>\|\*x\* \# y" in page


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


def test_the_index_follows_the_tree() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    assert len(read_runs(tree)[0]) == 5
    folders = sorted(tree.run_folders().values())
    shutil.rmtree(folders[0])
    tree.write(run_of(np.array([True, False]), name="full"))
    tree.write(run_of(np.array([True] * 40), seed=7))
    runs, _ = read_runs(tree)
    assert len(runs) == 6
    record = runs[0].record
    name, fold, seed = record.spec.method.implementation, record.spec.fold, record.spec.seed
    changed = run_of(np.ones(40, dtype=bool), name=name, fold=fold, seed=seed)
    assert changed.record.run_info.run_key == record.run_info.run_key
    tree.write(changed, replace=True)
    again = read_runs(tree)[0][0]
    assert (again.predicted == again.clips.targets).all()
    (Path("results") / FILE).write_bytes(b"not a data base")
    assert len(read_runs(tree)[0]) == 6
    assert make_tables(read_runs(tree)[0], Namer())[0]


def test_a_tree_that_cannot_be_written_to_is_read_without_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def refuse(path: object, **options: object) -> sqlite3.Connection:
        if path == ":memory:":
            return connect(":memory:")
        raise sqlite3.OperationalError("unable to open database file")

    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    monkeypatch.setattr(sqlite3, "connect", refuse)
    assert len(read_runs(ResultsTree(tree.root))[0]) == 5
    assert not (tree.root / FILE).exists()


def test_an_index_damaged_inside_or_without_its_clips_is_made_anew() -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    expected = board(tree.root)
    with sqlite3.connect(tree.root / FILE) as index:
        index.execute("DELETE FROM clips")
    assert board(tree.root) == expected
    content = bytearray((tree.root / FILE).read_bytes())
    content[200:] = b"x" * len(content[200:])
    (tree.root / FILE).write_bytes(content)
    assert board(tree.root) == expected


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


def test_a_run_that_is_not_finite_is_left_out_alone() -> None:
    data = template().record.spec.data.model_copy(update={"metric": "macro_f1"})
    for spec in ({}, {"data": data}):
        runs = [
            run_of(np.array([True, False, True, True]), fold=fold, seed=seed, spec=spec)
            for fold in range(1, 6)
            for seed in (0, 1)
        ]
        runs[0].predictions.test_logits[0, 0] = np.nan
        tree = plant(Path(f"results-{len(spec)}"), *runs)
        found = board(tree.root)[0][0]
        assert any("not finite: 1" in note for note in found["notes"])
        assert found["rows"][0]["score"] is not None


def test_failures_and_tables_that_do_not_fit_are_on_the_page() -> None:
    runs = study_of({"linear": 0.5}, seeds=2)
    odd = run_of(np.array([True] * 7), fold=1, seed=9)
    tree = plant(Path("results"), *runs, odd)
    failed = run_of(np.array([True]), name="lora").record
    tree.write_failure(
        Failure(
            run_key=failed.run_info.run_key,
            title="lora on synthetic",
            error="no",
            traceback="",
            created_at="",
            spec=failed.spec,
        )
    )
    reports, problems = board(Path("results"))
    page = markdown(reports, problems)
    assert "## Left out" in page
    assert "- failed: lora on synthetic: no" in page
    assert "were tested on different clips" in page
    assert json.loads(json_text(reports, problems))["left_out"] == problems


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: np.save((folder / "predictions.npz").open("wb"), np.zeros(3)),
        lambda folder: np.savez(folder / "predictions.npz", test_logits=np.zeros(3)),
        lambda folder: (folder / "run.json").write_text("[" * 100_000),
        lambda folder: _edit(folder, lambda data: data["meta_info"]["dataset_info"]["clips"].update(train=0)),
        lambda folder: _edit(folder, lambda data: data["meta_info"]["dataset_info"].update(name=["a"])),
        lambda folder: _logits(folder, lambda logits: logits[:, 0]),
        lambda folder: _logits(folder, lambda logits: logits[:, :0]),
        lambda folder: _logits(folder, lambda logits: logits.astype(str)),
        lambda folder: _logits(folder, lambda logits: logits[1:]),
    ],
)
def test_a_damaged_run_is_left_out_and_the_page_is_made(damage: Callable[[Path], object]) -> None:
    tree = plant(Path("results"), *study_of({"linear": 0.5}, seeds=2))
    damage(sorted(tree.run_folders().values())[0])
    reports, problems = board(Path("results"))
    assert len(problems) == 1
    assert reports[0]["rows"][0]["runs"] == 9


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / "run.json").read_text())
    change(data)
    (folder / "run.json").write_text(json.dumps(data))


def _logits(folder: Path, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> None:
    with np.load(folder / "predictions.npz") as arrays:
        content = dict(arrays)
    np.savez(folder / "predictions.npz", **{**content, "test_logits": change(content["test_logits"])})


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
