"""The page "Your own backbone" works as shown: its family is found as an installed package, runs, and keeps the contract."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from transformers import Wav2Vec2FeatureExtractor

from petl_bench.registry import BACKBONES
from petl_bench.testing.trials import FAMILIES
from tests.studies import Command

PAGE = (Path(__file__).parents[1] / "docs" / "own-backbone.md").read_text("utf-8")
NAME = "unispeech_sat"


def block(name: str) -> str:
    """The code block of the page whose first line names the file."""
    found = re.search(rf"```\w+\n# {re.escape(name)}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's package, as pip leaves one that is installed."""
    site = tmp_path / "site"
    facts = site / "petl_bench_unispeech_sat-0.1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: petl-bench-unispeech-sat\nVersion: 0.1.0\n")
    named = re.search(r"^unispeech_sat = \"(.*)\"", block("pyproject.toml"), re.MULTILINE)
    assert named is not None
    (facts / "entry_points.txt").write_text(f"[petl_bench.backbones]\nunispeech_sat = {named[1]}\n")
    (site / "petl_bench_unispeech_sat.py").write_text(block("petl_bench_unispeech_sat.py"))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(BACKBONES, "plugins", type(BACKBONES).plugins.func(BACKBONES))
    return site


def test_a_family_from_a_package_trains_and_keeps_the_contract(
    package: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {row["name"]: row["title"] for row in json.loads(command("ls", "backbones", "--json")[1])}
    assert listed[NAME] == "petl_bench_unispeech_sat:UniSpeechSat (petl-bench-unispeech-sat==0.1.0)"
    (package / "test_page.py").write_text(block("tests/test_unispeech_sat.py"))
    monkeypatch.setitem(FAMILIES, NAME, FAMILIES["hubert"])  # the page's own takes its place; both go with the test
    page = runpy.run_path(str(package / "test_page.py"))
    assert not [finding for finding in page["TestLora"]().findings() if finding.outcome == "violated"]
    folder = tmp_path / "my-checkpoint"
    page["small"](100).model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    small = ("--folds", "1", "--epochs", "1", "--limit", "2", "--executor", "in_process")
    code, out, err = command(
        "run", "--methods", "linear,lora", "--dataset", "synthetic", "--backbone", str(folder), *small
    )
    assert code == 0, err
    assert "backbone my-checkpoint" in out
