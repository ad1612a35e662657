"""Cards: what a wrong one is told, where cards are looked for, and that the shipped ones are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from petl_bench.card_files import KINDS, SCHEMAS, CardFile, built_in_folder, card_files, find_card, read_card
from petl_bench.cards import BenchmarkCard, Card, MethodCard
from petl_bench.errors import UserError
from petl_bench.sweeps.card import SweepCard

METHOD = 'implementation = "lora"\ntitle = "x"\n'
BENCHMARK = 'layout = "esc50"\ntitle = "x"\n'
SWEEP = 'title = "x"\nbenchmarks = ["a"]\nmethods = ["b"]\n'

WRONG: dict[str, tuple[type[Card], str, str]] = {
    "unknown key": (
        MethodCard,
        METHOD + "hyperparameter = 1",
        r"unknown key 'hyperparameter' \(did you mean 'hyperpar",
    ),
    "unknown nested key": (
        BenchmarkCard,
        BENCHMARK + "[features]\nframe = 1",
        r"unknown key 'features.frame' \(did you mean 'frames'\?\); allowed here: bins, frames, mean, std",
    ),
    "key in a list": (MethodCard, METHOD + '[[reference]]\nbenchmarks = "x"', "key 'reference.0.benchmark' is missing"),
    "missing key": (MethodCard, 'title = "x"', "key 'implementation' is missing"),
    "wrong type": (
        BenchmarkCard,
        BENCHMARK + '[training]\nepochs = "many"',
        r"training.epochs = 'many': input should be",
    ),
    "wrong value": (BenchmarkCard, BENCHMARK + "[training]\nepochs = 0", r"training.epochs = 0: .*greater than 0"),
    "wrong choice": (BenchmarkCard, BENCHMARK + 'metric = "f1"', r"metric = 'f1': .*'accuracy'"),
    "too few folds": (
        BenchmarkCard,
        BENCHMARK + '[protocol]\nfolds = 2\nvalidation = "previous_fold"',
        "needs at least 3 folds",
    ),
    "grid and search": (
        SweepCard,
        SWEEP + "[grid]\nlr = [1]\n[search]\ntrials = 1",
        r"give either \[grid\] or \[search\]",
    ),
    "dimension": (MethodCard, METHOD + "[search_space]\nrank = { low = 1 }", "give either choices, or low and high"),
    "not TOML": (MethodCard, "title = = 1", "not valid TOML: .*line 1"),
}


@pytest.mark.parametrize(("schema", "text", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_card_is_one_line_with_file_and_key(
    tmp_path: Path, schema: type[Card], text: str, message: str
) -> None:
    path = tmp_path / "card.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_card(CardFile("card", "methods", path, local=True), schema)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_built_in_cards_are_valid_and_name_their_code(kind: str) -> None:
    cards = sorted(built_in_folder(kind).glob("*.toml"))  # type: ignore[arg-type]
    assert cards
    for path in cards:
        read_card(CardFile(path.stem, kind, path, local=False), SCHEMAS[kind])  # type: ignore[arg-type, index]
        code = path.read_text().partition("\n")[0].removeprefix("# Code: ").split(" ")[0]
        assert (Path(__file__).parents[1] / code).is_file()


def test_a_local_card_comes_first_and_is_said_to_shadow() -> None:
    Path("methods").mkdir()
    Path("methods/lora.toml").write_text(METHOD)
    Path("methods/mine.toml").write_text(METHOD)
    cards = card_files("methods")
    assert (cards["lora"].local, cards["lora"].shadows) == (True, True)
    assert (cards["mine"].local, cards["mine"].shadows) == (True, False)
    assert not cards["conformer"].local
    assert find_card("methods", "methods/mine.toml").path == Path("methods/mine.toml")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(
        UserError,
        match=r"unknown method 'conformr' \(did you mean 'conformer'\?\); known: adaptformer, bitfit, bottleneck, ",
    ):
        find_card("methods", "conformr")
