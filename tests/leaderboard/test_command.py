"""The command that a page shows for a row repeats its runs and no others."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from petl_bench.leaderboard.board import read_tables
from petl_bench.leaderboard.command import command_of, missing_cards
from petl_bench.leaderboard.names import Namer
from tests.studies import Command

RUN = ("run", "--dataset", "synthetic", "--backbone", "mini", "--limit", "2", "--epochs", "1")


@pytest.mark.parametrize(
    "asked",
    [
        ("--methods", "linear", "--folds", "1,3", "--seeds", "0,2"),
        ("--methods", "conformer", "--folds", "2", "--profile", "published", "--precision", "bf16"),
        (
            "--methods",
            "lora",
            "--folds",
            "1",
            "--set",
            'lora.targets=["q","fc1"]',
            "--set",
            "lora.rank=2",
            "--lr",
            "0.01",
        ),
        (
            *("--methods", "bottleneck", "--folds", "1", "--switch", "init=zero", "--switch", "train_norms=false"),
            *("--set", "synthetic.features.frames=90", "--set", "synthetic.protocol.validation=held_out"),
            *("--set", "synthetic.protocol.held_out=0.5", "--set", "synthetic.training.micro_batch_size=4"),
            *(
                "--set",
                "bottleneck.placement.layers=last:2",
                "--batch-size",
                "7",
                "--set",
                "bottleneck.betas=[0.8,0.9]",
            ),
        ),
    ],
)
def test_the_command_finds_every_run_on_record(command: Command, asked: tuple[str, ...]) -> None:
    code, out, _ = command(*RUN, *asked)
    assert code == 0, out
    tables, _ = read_tables(Path("results"))
    (row,) = tables[0].rows
    again = shlex.split(command_of(row, tables[0], Namer().cards))
    assert again[0] == "petl-bench"
    code, out, _ = command(*again[1:])
    assert code == 0, out
    assert re.search(rf"^0 runs to train, {len(row.runs)} already on record$", out, re.MULTILINE), (again, out)


def test_settings_that_a_card_no_longer_has_are_spelt_out(command: Command) -> None:
    Path("methods").mkdir()
    card = Path("methods/mine.toml")
    card.write_text('implementation = "lora"\ntitle = "mine"\n[hyperparameters]\nrank = 3\n[optimizer]\nlr = 0.02\n')
    assert command(*RUN, "--methods", "mine", "--folds", "1")[0] == 0
    card.write_text('implementation = "lora"\ntitle = "mine"\n[hyperparameters]\nrank = 4\nalpha = 2\n')
    tables, _ = read_tables(Path("results"))
    again = shlex.split(command_of(tables[0].rows[0], tables[0], Namer().cards))
    assert {"mine.rank=3", "mine.alpha=16.0", "mine.lr=0.02"} <= set(again)
    assert "1 already on record" in command(*again[1:])[1]


def test_a_card_given_by_its_path_becomes_its_implementation(command: Command) -> None:
    Path("else where").mkdir()
    card = Path("else where/plain.toml")
    card.write_text('implementation = "lora"\ntitle = "mine"\n[hyperparameters]\nrank = 3\n')
    assert command(*RUN, "--methods", str(card), "--folds", "1")[0] == 0
    tables, _ = read_tables(Path("results"))
    again = command_of(tables[0].rows[0], tables[0], Namer().cards)
    assert "--methods lora" in again
    assert missing_cards(tables[0].rows[0], tables[0], Namer().cards) == []
    assert "1 already on record" in command(*shlex.split(again)[1:])[1]
