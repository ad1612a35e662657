"""``petl-bench sweep`` with a search card, from card to page."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from petl_bench.results import ResultsTree
from tests.studies import Command

CARD = """
title = "What does <linear> reach?"
benchmarks = ["synthetic"]
methods = ["linear"]
seeds = [0, 1]
[search]
trials = 3
{search}
[search.space]
lr = {{ low = 1e-3, high = 1e-1, log = true }}
batch_size = {{ choices = [8, 16] }}
[quick]
trials = 2
folds = [1]
"""
TINY = ("--folds", "1,2", "--epochs", "1", "--limit", "1", "--device", "cpu", "--executor", "in_process")


def write(name: str = "small", search: str = 'sampler = "random"', methods: str = '"linear"') -> None:
    Path("sweeps").mkdir(exist_ok=True)
    text = CARD.format(search=search).replace('methods = ["linear"]', f"methods = [{methods}]")
    Path(f"sweeps/{name}.toml").write_text(text)


def test_a_search_ends_in_its_page(command: Command) -> None:
    write()
    code, out, err = command("sweep", "small", "--plan", *TINY)
    assert (code, err) == (0, "")
    assert "linear on synthetic, backbone mini: 3 trials (random, pruner none) of 2 runs, then up to 12 under" in out
    assert "  lr: 0.001 to 0.1 (log)" in out
    assert not Path("results").exists()

    code, out, err = command("sweep", "small", *TINY)
    assert (code, err) == (0, "")
    assert "[1/3] trial 0: validation " in out
    before_winners = out.partition("under seeds that the search did not use")[0]
    assert "test " not in before_winners
    page = Path("leaderboard/small-varied/README.md").read_text()
    assert "What does \\<linear\\> reach?" in page or "&lt;linear&gt;" in page
    assert "| linear   | synthetic   | random    | 3        | 3          | 0        | 0        | 2" in page
    for sentence in (
        "each chosen on that fold's validation alone",
        "rests on the validation clips of all these folds",
        "On validation",
    ):
        assert sentence in page
    assert "tuned, one winner per fold" in page
    assert "expected best of n of B trials" in page
    folder = Path("leaderboard/small-varied")
    for name in ("history-synthetic-linear.png", "budget-synthetic.png"):
        assert f"({name})" in page
        assert (folder / name).stat().st_size > 5_000
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["complete"] * 3
    for row in rows:
        by_run = [float(run.partition(":")[2]) for run in row["by_run"].split()]
        assert float(row["objective"]) == pytest.approx(sum(by_run) / 2, abs=1e-6)
        assert 1e-3 <= float(row["lr"]) <= 1e-1

    _, out, _ = command("leaderboard", "--all")
    assert "tried by searches, the best of them flattered by having been chosen: linear (" in out
    kept = (folder / "README.md").read_bytes()
    runs = len(ResultsTree(Path("results")).run_folders())
    code, out, _ = command("sweep", "small", *TINY)
    assert code == 0
    assert len(ResultsTree(Path("results")).run_folders()) == runs
    assert (folder / "README.md").read_bytes() == kept

    _, out, _ = command("sweep", "small", *TINY, "--plan")
    assert "3 trials (random, pruner none) of 2 runs, all on record, then up to 12 under new seeds" in out
    _, out, _ = command("sweep", "small", *TINY, "--trials", "4", "--plan")
    assert "4 trials (random, pruner none) of 2 runs, 3 on record, then" in out
    code, out, _ = command("sweep", "small", *TINY, "--trials", "4")
    assert "4 trials, 3 on record" in out
    assert "[4/4] trial 3: validation " in out


def test_trials_on_record_are_not_counted_without_the_data_that_says_whose_they_are(command: Command) -> None:
    write()
    card = Path("sweeps/small.toml")
    card.write_text(card.read_text().replace("synthetic", "esc10"))
    Path("results/searches").mkdir(parents=True)
    Path("results/searches/small.journal").touch()
    code, out, _ = command("sweep", "small", "--plan", "--device", "cpu")
    assert code == 0
    assert "3 trials (random, pruner none) of 5 runs, then up to 30 under new seeds" in out
    assert "  not here: " in out


def test_every_method_has_the_same_budget_which_is_said(command: Command) -> None:
    write(methods='"linear", "layernorm"', search='sampler = "tpe"\nonly = ["lr"]')
    code, _, err = command("sweep", "small", *TINY, "--trials", "2", "--seeds", "0")
    assert (code, err) == (0, "")
    page = Path("leaderboard/small-varied/README.md").read_text()
    assert "every method has the same budget: 2 trials" in page
    assert "Tuned alike, on test: linear - layernorm" in page
    assert "tpe proposes by the mean over all folds" in page
    assert "for random search without a pruner alone" in page
    assert "batch\\_size" not in page


def test_grids_of_unequal_size_are_said_to_be_and_pruning_too(command: Command) -> None:
    search = 'sampler = "grid"\npruner = "epoch:median"\nonly = ["batch_size"]'
    write(methods='"linear", "layernorm"', search=search)
    text = Path("sweeps/small.toml").read_text()
    own = "[search.space.layernorm]\nbatch_size = { choices = [8] }\n[quick]"
    Path("sweeps/small.toml").write_text(text.replace("[quick]", own))
    code, out, err = command("sweep", "small", *TINY, "--seeds", "0")
    assert (code, err) == (0, "")
    assert "every method has the same budget" not in out
    page = Path("leaderboard/small-varied/README.md").read_text()
    assert "budgets differ, as the grids have so many combinations: linear 2, layernorm 1" in page
    assert "among trials that were not pruned" in page
    assert "a trial that was stopped wins no fold" in page


def test_a_search_without_a_complete_trial_has_failed(command: Command) -> None:
    write(search='sampler = "grid"\nonly = ["lr"]', methods='"full"')
    path = Path("sweeps/small.toml")
    path.write_text(path.read_text().replace("{ low = 1e-3, high = 1e-1, log = true }", "{ choices = [1000] }"))
    code, _, err = command("sweep", "small", *TINY[:2], "--epochs", "2", *TINY[4:], "--seeds", "0")
    assert code == 1
    assert "full on synthetic, backbone mini: no trial is complete, the page has the causes" in err
    assert "NotFiniteError" in Path("leaderboard/small-varied/README.md").read_text()


def test_the_quick_version_is_marked(command: Command) -> None:
    write()
    code, _, err = command("sweep", "small", "--quick", *TINY[2:])
    assert (code, err) == (0, "")
    page = Path("leaderboard/small-quick-varied/README.md").read_text()
    assert "**Not the whole search of the card: its quick version (seeds 0, folds 1), epochs 1, limit 1.**" in page
    assert "one winner per fold" not in page


def test_a_journal_that_was_cut_off_is_gone_on_with(command: Command) -> None:
    write()
    command("sweep", "small", *TINY)
    journal = Path("results/searches/small.journal")
    content = journal.read_bytes()
    journal.write_bytes(content[:-10])
    code, _, err = command("sweep", "small", *TINY)
    assert (code, err) == (0, "")
    journal.write_text("no journal\n")
    code, _, err = command("sweep", "small", *TINY)
    assert code == 2
    assert err.count("\n") == 1
    assert "not a readable journal of trials" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sweep", "batch_size", "--trials", "3"), "--trials: .* is a grid; a search has trials, as the card tune"),
        (("sweep", "batch_size", "--storage", "x"), "--storage: .* is a grid"),
        (("sweep", "small", "--seeds", "1000"), "--seeds: 1000 is a tuning seed of the search"),
        (("sweep", "small", "--storage", "nonsense", *TINY), "--storage nonsense: cannot be opened"),
        (("sweep", "small", "--methods", "liner"), "unknown method 'liner' .did you mean 'linear'"),
        (("sweep", "grid", *TINY), "sampler grid: lr is a range .* in .search.space., or name the other dimensions in only"),
        (("sweep", "unknown", *TINY), "search space of linear, kernel: linear has no setting 'kernel'"),
        (("sweep", "fraction", *TINY), "training.batch_size = .*valid integer.*; step = 1 makes a range whole"),
        (("sweep", "typo", *TINY), "search.only: no method has a dimension 'batch_szie' .did you mean 'batch_size'"),
        (("sweep", "none", *TINY), "only = rank: no dimension of linear, which has lr, batch_size"),
        (("sweep", "small", "--storage", "", *TINY), "--storage : cannot be opened"),
        (("sweep", "uneven", *TINY), "pruner epoch:median: epochs is searched"),
        (("sweep", "layers", *TINY), "search space of lora, layers: lora: layers = 'first:9': the backbone has 6 layers"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_before_anything_is_trained(
    command: Command, arguments: tuple[str, ...], message: str
) -> None:
    write()
    write("grid", 'sampler = "grid"')
    write("typo", 'only = ["lr", "batch_szie"]')
    write("none", 'only = ["rank"]')
    write("fraction")
    Path("sweeps/fraction.toml").write_text(
        Path("sweeps/fraction.toml").read_text().replace("{ choices = [8, 16] }", "{ low = 4, high = 9 }")
    )
    write("unknown", "space.kernel = { choices = [1] }")
    write("uneven", 'pruner = "epoch:median"\nspace.epochs = { choices = [1, 2] }')
    write("layers", 'space.layers = { choices = ["all", "first:9"] }', '"lora"')
    for name in ("unknown", "uneven", "layers"):
        path = Path(f"sweeps/{name}.toml")
        path.write_text(path.read_text().replace("[search.space]\n", "").replace("lr = {", "space.lr = {").replace("batch_size = {", "space.batch_size = {"))  # fmt: skip
    code, _, err = command(*arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert not list(Path("results").glob("synthetic/*"))
