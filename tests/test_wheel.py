"""The wheel carries the built-in cards: installed somewhere else, it lists them without the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from petl_bench.card_files import KINDS

PROJECT = Path(__file__).parents[1]


def test_an_installed_wheel_lists_its_own_cards(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", tmp_path / "site"]
    subprocess.run([*pip, "install", *options, PROJECT], check=True)
    command = [sys.executable, tmp_path / "site" / "bin" / "petl-bench", "ls", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    listed = json.loads(subprocess.check_output(command, cwd=tmp_path, env=environment, text=True))
    for kind in KINDS:
        carried = tmp_path / "site" / "petl_bench" / "_cards" / kind
        originals = sorted((PROJECT / kind).glob("*.toml"))
        assert [row["name"] for row in listed[kind]] == [path.stem for path in originals]
        assert all((carried / path.name).read_bytes() == path.read_bytes() for path in originals)
    for file in (PROJECT / "petl_bench" / "backbones" / "mini").glob("*.*"):
        assert (tmp_path / "site" / "petl_bench" / "backbones" / "mini" / file.name).read_bytes() == file.read_bytes()
    where = "import petl_bench.card_files as c; print(c.built_in_folder('methods'))"
    found = subprocess.check_output([sys.executable, "-c", where], cwd=tmp_path, env=environment, text=True)
    assert found.strip() == str(tmp_path / "site" / "petl_bench" / "_cards" / "methods")
