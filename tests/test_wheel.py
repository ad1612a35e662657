"""The wheel: installed into an empty environment it carries the built-in cards and answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
LIGHT = ("typer", "pydantic", "rich", "platformdirs", "numpy")
"""What the torch-free verbs import: the rest of the dependencies is left out to keep the test short."""


@pytest.mark.slow
def test_an_installed_wheel_lists_its_cards(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, PROJECT], check=True)
    (wheel,) = tmp_path.glob("petl_bench-*.whl")
    environment = tmp_path / "empty"
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *LIGHT], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", wheel], check=True)
    command = [python, "-m", "petl_bench", "ls", "--json"]
    listed = json.loads(subprocess.check_output(command, cwd=tmp_path, text=True))
    for kind in ("methods", "benchmarks", "sweeps"):
        assert [row["name"] for row in listed[kind]] == sorted(path.stem for path in (PROJECT / kind).glob("*.toml"))
    assert {row["name"] for row in listed["backbones"]} == {"ast", "mini"}
