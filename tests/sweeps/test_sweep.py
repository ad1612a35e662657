"""``petl-bench sweep`` from card to page, on generated clips."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from petl_bench.card_files import card_files
from tests.studies import Command

CARD = """
title = "Which kernel?"
benchmarks = ["synthetic"]
methods = ["conformer"]
seeds = [0]
[grid]
kernel_size = {levels}
[question]
baseline = {{ kernel_size = 1 }}
ordered = "kernel_size"
"""
HERE = ("--device", "cpu", "--executor", "in_process")
TINY = ("--folds", "1-3", "--epochs", "1", "--limit", "1", *HERE)


def write(name: str, levels: str) -> None:
    Path("sweeps").mkdir(exist_ok=True)
    Path(f"sweeps/{name}.toml").write_text(CARD.format(levels=levels))


def test_studies_share_runs_and_end_in_their_pages(command: Command) -> None:
    write("first", "[1, 3, 8]")
    write("second", "[1, 3, 15]")
    code, out, err = command("sweep", "first", "--plan", *TINY)
    assert (code, err) == (0, "")
    assert "synthetic, backbone mini: 3 combinations, 9 runs, 0 on record; about " in out
    assert "2 steps each, measured now" in out
    assert not Path("results").exists()

    code, out, err = command("sweep", "first", *TINY)
    assert (code, err) == (0, "")
    assert "9 runs to train" in out
    assert "[1/9] conformer (kernel_size = 1) on synthetic, fold 1, seed 0: test " in out
    page = Path("leaderboard/first-varied/README.md").read_text()
    assert page.startswith("# Which kernel?\n\n**Not the whole study of the card: folds 1, 2, 3, epochs 1, limit 1.**")
    assert "Made by `petl-bench sweep first --folds 1,2,3 --epochs 1 --limit 1`." in page
    assert "points per doubling of kernel\\_size" in page
    assert page.count("| 3/3 ") == 3
    assert Path("leaderboard/first-varied/figure.png").stat().st_size > 10_000
    rows = list(csv.DictReader(Path("leaderboard/first-varied/rows.csv").read_text().splitlines()))
    assert [row["kernel_size"] for row in rows] == ["1", "3", "8"]
    assert float(rows[1]["difference"]) == pytest.approx(float(rows[1]["score"]) - float(rows[0]["score"]))

    code, out, _ = command("sweep", "second", "--plan", *TINY)
    assert "9 runs, 6 on record; about " in out
    assert "(runs on record)" in out
    code, out, _ = command("sweep", "second", *TINY)
    assert code == 0
    assert "3 runs to train, 6 already on record" in out

    before = Path("leaderboard/first-varied/README.md").read_bytes()
    code, out, _ = command("sweep", "first", *TINY)
    assert "9 runs, all on record" in out
    assert Path("leaderboard/first-varied/README.md").read_bytes() == before


def test_a_study_plans_without_data_but_does_not_run(command: Command) -> None:
    code, out, err = command("sweep", "paper_table1", "--plan")
    assert (code, err) == (0, "")
    for name, combinations, runs in (("esc50", 11, 165), ("us8k", 11, 330), ("gsc", 11, 33), ("fsc", 11, 33)):
        assert (
            f"{name}, backbone MIT/ast-finetuned-audioset-10-10-0.4593: {combinations} combinations, {runs} runs" in out
        )
    code, _, err = command("sweep", "paper_table1")
    assert code == 2
    assert "no meta/esc50.csv" in err


def test_mistakes_are_one_line(command: Command) -> None:
    write("typo", "[1]")
    path = Path("sweeps/typo.toml")
    path.write_text(path.read_text().replace("[grid]\nkernel_size", "[grid]\nkernel_sise"))
    for arguments, message in (
        (["sweep", "typo"], "no factor of the study"),
        (["sweep", "batch_sise"], "did you mean 'batch_size'"),
        (["sweep", "batch_size", "--dataset", "esc5"], "did you mean 'esc50'"),
        (["sweep", "paper_table1", "--data-dir", "x"], "the study has several data sets"),
        (["sweep", "batch_size", "--seeds", "one"], "--seeds one: give whole numbers"),
    ):
        code, _, err = command(*arguments)
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1


def test_failures_are_on_the_page_with_their_reason(command: Command) -> None:
    write("fails", "[1, 3, 8]")
    path = Path("sweeps/fails.toml")
    text = path.read_text().replace("kernel_size = [1, 3, 8]", "lr = [0.001, 1000.0]")
    path.write_text(text.replace("kernel_size = 1", "lr = 0.001").replace('ordered = "kernel_size"', ""))
    arguments = ("sweep", "fails", "--folds", "1-3", "--epochs", "2", "--limit", "1", *HERE)
    code, out, err = command(*arguments)
    assert (code, err, out.count("FAILED")) == (1, "", 3), out
    page = Path("leaderboard/fails-varied/README.md").read_text()
    assert "failed: conformer (lr = 1000.0) on synthetic, fold 1, seed 0: NotFiniteError" in page.replace("\\", "")
    plan = command(*arguments, "--plan")[1]
    assert "6 runs, 3 on record, 3 failed before; nothing left to train" in plan


def test_what_is_absent_stops_nothing_else(command: Command) -> None:
    write("both", "[1, 3, 8]")
    path = Path("sweeps/both.toml")
    path.write_text(path.read_text().replace('["synthetic"]', '["synthetic", "esc10"]'))
    code, _, err = command("sweep", "both", *TINY, "--backbone", "mini")
    assert code == 1
    assert "not run: esc10: no meta/esc50.csv" in err
    assert "esc10, backbone mini: not run here" in Path("leaderboard/both-varied/README.md").read_text()


def test_a_wrong_backbone_is_no_absence(command: Command) -> None:
    code, _, err = command("sweep", "batch_size", "--plan", "--quick", "--backbone", "minni", "--dataset", "synthetic")
    assert code == 2
    assert "did you mean 'mini'" in err


OF_EACH_KIND = ("batch_size", "defects", "few_shot", "paper_table1", "tune")
"""Arms and single points, switches, few clips, many methods, a search."""
SHIPPED = [
    pytest.param(name, marks=pytest.mark.slow if name in OF_EACH_KIND else pytest.mark.exhaustive)
    for name in card_files("sweeps")
]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_study_runs_small_and_ends_in_its_page(name: str, command: Command) -> None:
    limit = {"few_shot": "3", "seed_report": "8"}.get(name, "1")  # clips per class and fold: shots, a tenth held out
    tiny = ("--dataset", "synthetic", "--folds", "1-3", "--epochs", "1", "--limit", limit, "--seeds", "0", *HERE)
    trials = ("--trials", "3") if name == "tune" else ()
    code, out, err = command("sweep", name, "--quick", *tiny, *trials)
    assert (code, err) == (0, "")
    folder = Path("leaderboard") / f"{name}-quick-varied"
    page = (folder / "README.md").read_text()
    kind, figure = ("search", "history-synthetic-conformer") if name == "tune" else ("study", "figure")
    assert f"**Not the whole {kind} of the card: its quick version" in page
    assert "missing" not in page
    assert (folder / f"{figure}.svg").is_file()
    gates = [file.name for file in sorted(folder.glob("gates-*.png"))]
    assert len(gates) == (2 if name == "gating" else 0)
    assert all(f"by layer and class]({file})" in page for file in gates)
    assert str(folder / "README.md") in out
