"""The page "Add a method in one file" works as shown: as a file of a study, and as an installed package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_run import TINY
from tests.studies import Command, train

PAGE = (Path(__file__).parents[1] / "docs" / "add-a-method.md").read_text("utf-8")


def block(name: str) -> str:
    """The code block of the page whose first line names the file."""
    found = re.search(rf"```\w+\n# {re.escape(name)}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def printed(site: Path, *arguments: str) -> str:
    """What ``petl-bench`` prints, in a process of its own, with a folder of installed packages before the others."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-m", "petl_bench", *arguments], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The example's package, built and installed into a folder."""
    (tmp_path / "pyproject.toml").write_text(block("pyproject.toml"))
    (tmp_path / "petl_bench_rescale.py").write_text(block("methods/rescale.py"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", tmp_path / "site"]
    subprocess.run([*pip, *options, tmp_path], check=True)
    return tmp_path / "site"


def listed(command: Command) -> dict[str, str]:
    return {row["name"]: row["origin"] for row in json.loads(command("ls", "methods", "--json")[1])}


def test_a_file_in_a_studys_methods_is_a_method(command: Command) -> None:
    Path("methods").mkdir()
    Path("methods/rescale.py").write_text(block("methods/rescale.py"))
    assert listed(command)["rescale"] == "methods/rescale.py"
    assert "rescale: keeps the contract" in command("check", "rescale")[1]
    assert "class Rescale(Method)" in command("show", "rescale")[1]
    assert "ok     methods/rescale.py" in command("validate")[1]
    run = train(methods=("rescale",), settings=("rescale.sites=['ffn']",))
    assert run.record.spec.method.hyperparameters == {"sites": ["ffn"], "pooling": "mean"}
    assert run.record.train_info.parameters["adapter"] == 6 * 2 * 128
    assert run.record.spec.training.optimizer.lr == 1e-2
    assert run.record.spec.method.source.startswith("sha256:")


def test_a_card_may_name_the_file_and_comes_before_it(command: Command) -> None:
    Path("methods").mkdir()
    Path("methods/rescale.py").write_text(block("methods/rescale.py"))
    Path("methods/rescale.toml").write_text(
        'implementation = "rescale.py:Rescale"\ntitle = "Rescale"\n[optimizer]\nlr = 1e-3\n'
    )
    assert listed(command)["rescale"] == "methods/rescale.toml"
    assert train(methods=("rescale",)).record.spec.training.optimizer.lr == 1e-3


def test_an_installed_package_is_a_method(package: Path) -> None:
    rows = json.loads(printed(package, "ls", "methods", "--json"))
    assert {row["name"]: row["origin"] for row in rows}["rescale"] == "petl-bench-rescale==0.1.0"
    assert re.search(r"^rescale +\d", printed(package, "run", "--methods", "rescale", *TINY), re.MULTILINE)


def test_the_contract_runs_under_pytest() -> None:
    Path("methods").mkdir()
    Path("methods/rescale.py").write_text(block("methods/rescale.py"))
    Path("test_rescale.py").write_text(block("tests/test_rescale.py"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], capture_output=True, text=True
    )
    assert re.search(r"^12 passed in ", done.stdout, re.MULTILINE), done.stdout
