"""``petl-bench run`` as a user meets it: what it prints, what goes on, and what a mistake costs him."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.studies import Command

TINY = ["--dataset", "synthetic", "--folds", "1-2", "--epochs", "1", "--limit", "2", "--executor", "in_process"]


def test_run_trains_records_and_prints_a_table(command: Command) -> None:
    arguments = ["run", "--methods", "conformer,lora", *TINY, "--set", "conformer.reduction_rate=96"]
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    assert "4 runs to train" in out
    assert re.search(r"\[1/4\] conformer on synthetic, fold 1, seed 0: test \d+\.\d\d \(epoch 1 of 1, [\d.]+ s\)", out)
    assert "synthetic, backbone mini: test accuracy, percent (partial: at most 2 clips per class and fold)" in out
    assert re.search(r"^lora +\d+\.\d\d +\d+\.\d\d +2/2 +18\.7K +1\.52% +[\d.]+ *$", out, re.MULTILINE)
    assert re.search(r"^lora +18\.4K +256 +1,290 +18\.4K *$", out, re.MULTILINE)
    assert "clips in fold 1: 60 train, 20 validation, 20 test" in out
    assert "reduction_rate = 96 leaves 1 of 128 channels" in out
    assert "backbone mini: small, pretrained on generated sounds alone" in out
    assert "--seeds 0-2 gives three" in out
    assert len(list(Path("results").glob("synthetic/mini/*/*/run.json"))) == 4

    code, out, err = command(*arguments, "--plan", "--seeds", "0-1")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"8 runs, 4 on record\nabout \d+ s one after the other \(runs on record\)\n", out)
    code, out, _ = command(*arguments, "--plan")
    assert (code, out) == (0, "4 runs, 4 on record\n")

    code, out, _ = command(*arguments)
    assert code == 0
    assert "0 runs to train, 4 already on record" in out
    assert re.search(r"^conformer .* 2/2", out, re.MULTILINE)


def test_a_failing_run_gives_exit_code_1_and_a_list(command: Command) -> None:
    Path("bad.py").write_text(
        "from petl_bench import Method\nclass Bad(Method):\n    def attach(self, backbone):\n        raise ValueError('no')\n"
    )
    code, out, err = command("run", "--methods", "bad.py:Bad,linear", *TINY, "--plan")
    assert (code, "cannot take a step (ValueError: no)" in err) == (2, True)
    code, out, _ = command("run", "--methods", "bad.py:Bad,linear", *TINY)
    assert code == 1
    assert "2 runs failed:" in out
    assert "Bad on synthetic, fold 2, seed 0" in out
    assert re.search(r"^Bad +- +- +0/2", out, re.MULTILINE)
    assert re.search(r"^linear +\d", out, re.MULTILINE)
    code, out, _ = command("run", "--methods", "bad.py:Bad,linear", *TINY)
    assert code == 1
    assert "2 already on record, 2 failed before (--retry-failed tries again)" in out
    code, out, err = command("run", "--methods", "bad.py:Bad,linear", *TINY, "--plan")
    assert (code, out, err) == (0, "4 runs, 2 on record, 2 failed before\n", "")


def test_a_local_card_and_a_local_method_run(command: Command) -> None:
    Path("methods").mkdir()
    Path("methods/narrow.py").write_text("from petl_bench.methods.lora import Lora\nclass Narrow(Lora):\n    pass\n")
    Path("methods/lora.toml").write_text(
        'implementation = "narrow.py:Narrow"\ntitle = "x"\n[hyperparameters]\nrank = 1\n'
    )
    code, out, _ = command("run", "--methods", "lora", *TINY)
    assert code == 0
    assert "methods/lora.toml shadows the built-in card 'lora'" in out
    assert list(Path("results").glob("synthetic/mini/Narrow/*/run.json"))


MISTAKES = {
    "unknown method": (["--methods", "conformr", *TINY], r"unknown method 'conformr' \(did you mean 'conformer'\?\)"),
    "empty method": (["--methods", "lora,,", *TINY], "give names between commas"),
    "unknown benchmark": (
        ["--methods", "lora", "--dataset", "esc51"],
        r"unknown benchmark 'esc51' \(did you mean 'esc50'",
    ),
    "no data": (
        ["--methods", "lora", "--dataset", "gsc"],
        r"no validation_list.txt in data/gsc; .*speech_commands_v0.02.tar.gz",
    ),
    "empty folder": (["--methods", "lora", "--dataset", "esc10", "--data-dir", "."], r"no meta/esc50.csv in \.; "),
    "reduction rate": (
        ["--methods", "conformer", *TINY, "--set", "conformer.reduction_rate=1000"],
        "reduction_rate = 1000 leaves no channel of hidden size 128: at most 128",
    ),
    "kernel": (
        ["--methods", "conformer", *TINY, "--set", "conformer.kernel_size=0"],
        "kernel_size = 0: .*greater than 0",
    ),
    "fold": (["--methods", "lora", *TINY, "--folds", "7"], "--folds 7: synthetic has folds 1 to 5"),
    "fold zero": (["--methods", "lora", *TINY, "--folds", "0"], "--folds 0: synthetic has folds 1 to 5"),
    "seed list": (
        ["--methods", "lora", *TINY, "--seeds", "1,x"],
        "--seeds 1,x: give whole numbers, as in 0,1,2 or 0-2",
    ),
    "seed range": (["--methods", "lora", *TINY, "--seeds", "3-1"], "'3-1' is no range from low to high"),
    "negative seed": (["--methods", "lora", *TINY, "--seeds=-1"], "--seeds -1: give whole numbers"),
    "setting": (["--methods", "lora", *TINY, "--set", "lora"], "give NAME.KEY=VALUE"),
    "setting of another": (
        ["--methods", "lora", *TINY, "--set", "conformer.kernel_size=3"],
        "'conformer' is no part of this run",
    ),
    "limit": (["--methods", "lora", *TINY, "--limit", "0"], r"--limit.*greater than or equal to 1 \(given: 0\)"),
    "epochs": (["--methods", "lora", *TINY, "--epochs", "0"], "epochs = 0: .*greater than 0"),
    "epochs word": (["--methods", "lora", *TINY, "--epochs", "ten"], r"--epochs.*valid integer.* \(given: ten\)"),
    "precision": (["--methods", "lora", *TINY, "--precision", "fp16"], "--precision.*'fp16' is not one of"),
    "device": (["--methods", "lora", *TINY, "--device", "gpu"], "--device gpu: gpu is not usable here"),
    "backbone": (["--methods", "lora", *TINY, "--backbone", "mimi"], r"--backbone mimi: .*did you mean 'mini'"),
    "backbone folder": (["--methods", "lora", *TINY, "--backbone", "."], "no readable config.json"),
    "hub": (
        ["--methods", "lora", *TINY, "--backbone", "MIT/ast-finetuned-audioset-10-10-0.4593"],
        r"not in the hub cache .*--backbone FOLDER",
    ),
    "infinite rate": (["--methods", "lora", *TINY, "--lr", "inf"], "lora: lr = inf: .*finite"),
    "infinite setting": (["--methods", "lora", *TINY, "--set", "lora.alpha=inf"], "lora: alpha = inf: .*finite"),
    "no number": (
        ["--methods", "lora", *TINY, "--set", "synthetic.features.mean=nan"],
        "features.mean = nan: .*finite",
    ),
    "betas": (["--methods", "lora", *TINY, "--set", "lora.betas=[2,3]"], "lora: betas.0 = 2: .*less than 1"),
    "meta device": (
        ["--methods", "lora", *TINY, "--device", "meta"],
        "--device meta: meta is not usable here .*type meta",
    ),
    "no backbone": (["--methods", "lora", *TINY, "--backbone", ""], "--backbone '': give mini"),
    "held out": (
        ["--methods", "lora", *TINY, "--set", "synthetic.protocol.held_out=0.4"],
        "held_out = 0.4 is not one part",
    ),
    "option": (["--methods", "lora", *TINY, "--epoch", "3"], "(?i)no such option: --epoch"),
    "no methods": (TINY, "(?i)missing option '--methods'"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    code, out, err = command("run", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("petl-bench: ")
    assert re.search(message, err)


def test_a_results_folder_that_is_a_file_is_a_mistake(command: Command) -> None:
    Path("file").touch()
    code, _, err = command("run", "--methods", "lora", *TINY, "--results", "file")
    assert code == 2
    assert "--results file: cannot be written to" in err


def test_a_bad_card_is_a_mistake(command: Command) -> None:
    Path("methods").mkdir()
    Path("methods/mine.toml").write_text('implementation = "lora"\ntitle = "x"\nhyperparameter = 3\n')
    code, _, err = command("run", "--methods", "mine", *TINY)
    assert code == 2
    assert "methods/mine.toml: unknown key 'hyperparameter' (did you mean 'hyperparameters'?)" in err


def test_a_cache_that_cannot_be_written_to_is_a_mistake(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").touch()
    monkeypatch.setenv("PETL_BENCH_CACHE", "file/cache")
    code, _, err = command("run", "--methods", "linear", *TINY)
    assert code == 2
    assert "the cache file/cache/features cannot be written to (Not a directory); set PETL_BENCH_CACHE" in err


def test_the_table_of_records_that_count_no_redundant_parameters(command: Command) -> None:
    arguments = ["run", "--methods", "linear", *TINY]
    assert command(*arguments)[0] == 0
    for path in Path("results").glob("*/*/*/*/run.json"):
        record = json.loads(path.read_text())
        del record["train_info"]["redundant_parameters"]
        path.write_text(json.dumps(record))
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    assert "unable to change" not in out


def test_a_damaged_record_is_trained_again(command: Command) -> None:
    command("run", "--methods", "linear", *TINY)
    damaged = next(Path("results").glob("synthetic/mini/linear/*/run.json"))
    damaged.write_text("torn")
    code, out, _ = command("run", "--methods", "linear", *TINY)
    assert code == 0
    assert "1 run to train, 1 already on record" in out
    assert json.loads(damaged.read_text())["schema_version"] == 1


def test_the_table_keeps_names_whole_in_80_columns(command: Command) -> None:
    Path("methods").mkdir()
    name = "a_method_card_with_a_rather_long_name_of_its_own"
    Path(f"methods/{name}.toml").write_text('implementation = "linear"\ntitle = "x"\n')
    code, out, _ = command("run", "--methods", f"{name},full,lora,conformer", *TINY, "--folds", "1")
    assert code == 0
    tables = out.partition("percent")[2].partition("\n- ")[0]
    assert all(len(line) <= 80 for line in tables.splitlines()[1:])
    assert name in "".join(line.split(" ")[0] for line in tables.splitlines()).replace("full", "")
    for short in ("full", "lora", "conformer"):
        assert len(re.findall(rf"^{short} ", tables, re.MULTILINE)) == 2


def test_an_interrupt_is_one_line_and_the_study_goes_on(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import petl_bench.training.run as training

    train_run, calls = training.train_run, []

    def interrupted(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train_run(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train_run", interrupted)
    code, out, err = command("run", "--methods", "linear,lora", *TINY)
    assert (code, err) == (130, "petl-bench: stopped\n")
    assert "stopped after 1 of 4 runs; the same command goes on from here" in out
    code, out, _ = command("run", "--methods", "linear,lora", *TINY)
    assert code == 0
    assert "3 runs to train, 1 already on record" in out
