"""Verbs that list, show and check: what they print, and what a mistake costs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import petl_bench
from tests.cli.imports import slow_imports
from tests.cli.test_run import TINY
from tests.studies import Command


def test_help_and_version(command: Command) -> None:
    assert command("--version") == (0, f"petl-bench {petl_bench.__version__}\n", "")
    for arguments in ((), ("--help",), ("-h",)):
        code, out, err = command(*arguments)
        assert (code, err) == (0, "")
        assert all(verb in out for verb in ("run", "ls", "show", "validate", "env", "pretrain"))


def test_pretrain_makes_a_backbone_and_does_not_overwrite_it(command: Command) -> None:
    code, out, _ = command("pretrain", "--out", "made", "--steps", "1", "--device", "cpu")
    assert code == 0
    assert "step 1 of 1: tracks" in out
    assert "of it generation" in out
    assert {path.name for path in Path("made").iterdir()} >= {"config.json", "model.safetensors"}
    code, _, err = command("pretrain", "--out", "made", "--steps", "1", "--device", "cpu")
    assert code == 2
    assert "made holds a pretraining run: --resume goes on with it" in err


def test_ls_lists_every_kind(command: Command) -> None:
    code, out, _ = command("ls")
    assert code == 0
    for name in ("methods:", "conformer", "benchmarks:", "gsc", "backbones:", "mini", "sweeps:", "batch_size"):
        assert name in out
    for kind in ("methods", "benchmarks", "backbones", "sweeps", "runs"):
        assert isinstance(json.loads(command("ls", kind, "--json")[1]), list)
    assert command("ls", "runs")[1].splitlines()[0] == "no runs"
    assert "next: petl-bench show NAME" in out


def test_ls_shows_a_wrong_card_beside_the_others(command: Command) -> None:
    Path("methods").mkdir()
    Path("methods/mine.toml").write_text("title = 3")
    code, out, _ = command("ls", "methods")
    assert code == 0
    assert re.search(r"^mine +wrong: methods/mine.toml: ", out, re.MULTILINE)
    assert "conformer" in out


def test_ls_runs_tells_success_failure_and_damage(command: Command) -> None:
    command("run", "--methods", "linear", *TINY)
    (first, second) = sorted(Path("results").glob("synthetic/mini/linear/*/run.json"))
    second.write_text("torn")
    rows = json.loads(command("ls", "runs", "--json")[1])
    assert [row["status"] for row in rows] == ["success", "unreadable"]
    assert rows[0]["run_key"] == first.parent.name
    out = command("ls", "runs")[1]
    assert "synthetic, backbone mini: accuracy, of a part of the clips" in out
    assert re.search(rf"^  {first.parent.name}  linear +1 +0 +[\d.]+$", out, re.MULTILINE)
    assert f"unreadable  {second}: not a readable run record" in out


def test_show_tells_cards_backbones_and_runs(command: Command) -> None:
    assert "kernel_size = 31" in command("show", "conformer")[1]
    assert "generated sounds" in command("show", "mini")[1]
    command("run", "--methods", "linear", *TINY)
    key = next(Path("results").glob("synthetic/mini/linear/*")).name
    assert json.loads(command("show", key[:8])[1])["run_info"]["run_key"] == key
    code, _, err = command("show", "confromer")
    assert code == 2
    assert "nothing is called 'confromer' (did you mean 'conformer'?)" in err


def test_a_failure_that_was_mended_is_not_listed(command: Command) -> None:
    text = "from petl_bench import Method\nimport os\nclass Sometimes(Method):\n    def attach(self, backbone):\n        backbone.unfreeze('norm_final', role='norm')\n        assert os.environ.get('MENDED')\n"
    Path("sometimes.py").write_text(text)
    arguments = ["run", "--methods", "sometimes.py:Sometimes", *TINY, "--folds", "1"]
    assert command(*arguments)[0] == 1
    (row,) = json.loads(command("ls", "runs", "--json")[1])
    assert (row["status"], row["error"]) == ("failed", "Sometimes on synthetic, fold 1, seed 0: AssertionError:")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENDED", "1")
        assert command(*arguments, "--retry-failed")[0] == 0
    (row,) = json.loads(command("ls", "runs", "--json")[1])
    assert row["status"] == "success"


def test_validate_checks_cards_against_the_code(command: Command) -> None:
    code, out, _ = command("validate")
    assert code == 0
    assert out.count("ok ") == out.count("\n")
    Path("methods").mkdir()
    good = 'implementation = "lora"\ntitle = "x"\n'
    wrong = {
        "code": 'implementation = "lorra"\ntitle = "x"\n',
        "setting": good + "[hyperparameters]\nranks = 3\n",
        "override": good + "[for.gsc]\nranks = 3\n",
        "benchmark": good + "[for.gcs]\nrank = 3\n",
        "search": good + "[search_space]\nranks = { choices = [1] }\n",
    }
    for name, text in wrong.items():
        Path(f"methods/{name}.toml").write_text(text)
        code, out, err = command("validate", f"methods/{name}.toml")
        assert (code, out.count("wrong  ")) == (2, 1), name
        assert "did you mean" in out
        assert "1 of them is wrong" in err


def test_validate_takes_the_methods_of_a_study_that_sweep_takes(command: Command) -> None:
    Path("sweeps").mkdir()
    Path("own.toml").write_text('implementation = "lora"\ntitle = "x"\n')
    study = 'title = "x"\nbenchmarks = ["synthetic"]\nmethods = ["{}"]\n[grid]\nlr = [1e-3, 1e-2]\n'
    for method in ("lora", "peft:dora", "own.toml"):
        Path("sweeps/study.toml").write_text(study.format(method))
        assert command("validate", "sweeps/study.toml")[:2] == (0, "ok     sweeps/study.toml\n")
    Path("sweeps/study.toml").write_text(study.format("lara"))
    code, out, _ = command("validate", "sweeps/study.toml")
    assert code == 2
    assert out.startswith("wrong  sweeps/study.toml: unknown method 'lara' (did you mean 'lora'?); known: ")


def test_env_names_versions_and_folders(command: Command) -> None:
    facts = json.loads(command("env", "--json")[1])
    assert facts["torch"]
    assert facts["cache"] == f"{os.environ['PETL_BENCH_CACHE']} (PETL_BENCH_CACHE)"
    assert "torch" in command("env")[1]


QUICK = [
    ["ls"],
    ["ls", "backbones"],
    ["show", "conformer"],
    ["--help"],
    ["run", "--help"],
    ["profile", "--help"],
    ["data", "--help"],
    ["status"],
    ["cancel"],
]


def test_quick_verbs_import_nothing_slow() -> None:
    assert slow_imports(QUICK) == {" ".join(verb): [] for verb in QUICK}
