"""``petl-bench profile`` on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from petl_bench.cli._profiled import print_profiles
from petl_bench.profiling.profiles import read_profiles
from tests.profiling.example import example
from tests.studies import TINY, Command, plan_of

SMALL = ["--dataset", "synthetic", "--limit", "2", "--batch-size", "2", "--repeats", "1", "--threads", "1"]


def test_a_method_that_fails_or_dies_costs_its_row_alone(command: Command) -> None:
    """Its row has dashes, the reason is said, the exit code is 1, and others are shown and kept."""
    Path("broken.py").write_text(
        "import os\nfrom petl_bench import Method\n"
        "class Raises(Method):\n    def attach(self, backbone):\n        raise ValueError('no such site')\n"
        "class Leaves(Method):\n    def attach(self, backbone):\n        os._exit(9)\n"
    )
    code, out, err = command("profile", "--methods", "broken.py:Raises,broken.py:Leaves,linear", *SMALL)
    assert (code, err) == (1, "")
    assert re.search(r"^Raises( +-){7}$", out, re.MULTILINE)
    assert re.search(r"^linear +256 +0\.129 +0\.129 ", out, re.MULTILINE)
    assert "- Raises failed: ValueError: no such site\n" in out
    assert "- Leaves failed: its process ended with exit code 9\n" in out
    assert "100 frames, batch 2, fp32, median of 1 step; on cpu, 1 thread, torch " in out
    methods = "broken.py:Raises,broken.py:Leaves,linear"
    assert out.endswith(f"next: petl-bench run --methods {methods} --dataset synthetic --batch-size 2 --limit 2\n")
    profiles, problems = read_profiles(Path("results"))
    assert problems == []
    assert [its.conditions.method for its in profiles.values()] == ["linear"]


def test_everything_as_json_and_the_leaderboard_finds_it(command: Command) -> None:
    run = ["run", "--methods", "linear", "--dataset", "synthetic", "--limit", "2", "--folds", "1", "--epochs", "1"]
    assert command(*run, "--executor", "in_process")[0] == 0
    code, out, _ = command("profile", "--methods", "linear", *SMALL, "--json")
    data = json.loads(out)
    assert (code, data["failed"]) == (0, [])
    (profile,) = data["profiles"]
    assert profile["conditions"]["wanted_batch_size"] == 2
    table = json.loads(command("leaderboard", "--format", "json")[1])["tables"][0]
    assert table["rows"][0]["profile"] == profile


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "linaer", *SMALL], r"unknown method 'linaer' \(did you mean 'linear'\?\)"),
        (["--methods", "linear", *SMALL, "--dataset", "synthetics"], "unknown benchmark 'synthetics'"),
        (["--methods", "linear", *SMALL, "--device", "gpu"], "--device gpu: gpu is not usable here"),
        (["--methods", "linear", *SMALL, "--repeats", "0"], r"--repeats.*\(given: 0\)"),
        (["--methods", "linear", *SMALL, "--batch-size", "0"], "batch_size = 0: .*greater than 0"),
        (["--methods", "linear", *SMALL, "--set", "lora.rank=2"], "'lora' is no part of this run"),
        (["--methods", "linear", *SMALL, "--switch", "inits=zero"], "--switch 'inits=zero' .did you mean 'init'"),
        (["--methods", "linear", "--dataset", "gsc"], "no validation_list.txt in data/gsc"),
        (["--methods", "linear", *SMALL, "--results", "/proc/x"], "--results /proc/x: cannot be written to"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command: Command, arguments: list[str], message: str) -> None:
    code, out, err = command("profile", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(message, err)


def test_tables_fit_eighty_columns_and_say_what_is_special(capsys: pytest.CaptureFixture[str]) -> None:
    large = {
        "forward_gflops_per_clip": 12345.6,
        "training_gflops_per_clip": 45678.9,
        "training_clips_per_second": 12345.6,
        "inference_clips_per_second": 123456.7,
        "peak_memory_bytes": 76 * 2**30,
        "step_memory_bytes": 75 * 2**30,
        "every_step_ms": (200.0, 900.0),
        "redundant_parameters": 3,
    }
    wide = example("a" * 16, "conformer_houlsby", **large)
    fewer = wide.conditions.model_copy(update={"batch_size": 8})
    outcomes = [
        ("conformer_houlsby", wide.model_copy(update={"conditions": fewer})),
        ("linear", example("b" * 16, peak_memory_bytes=None, step_memory_bytes=None)),
        ("broken", "it does not work"),
    ]
    print_profiles(plan_of(TINY)[0], outcomes, [])
    out = capsys.readouterr().out
    assert [line for line in out.split("\n- ")[0].splitlines() if len(line) > 80] == []
    assert "…" not in out
    assert re.search(r"^linear +256 +0\.125 +0\.250 +160 +320 +- +50\.0%$", out, re.MULTILINE)
    assert re.search(r"^linear +200 +20\.0 +10% +80\.0 +40% +90\.0 +45% +10\.0 +5% +-$", out, re.MULTILINE)
    assert "conformer_houlsby: a batch of 8 for want of memory" in out
    assert "conformer_houlsby: a step took up to 900 ms: was the machine busy?" in out
    assert "conformer_houlsby: 3 parameters trained, but unable to change a training loss" in out
