"""The examples run: the notebook's cells in a fresh process, with outputs that are there, and the page of own sounds."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from petl_bench.results import ResultsTree
from tests.studies import Command

NOTEBOOK = Path(__file__).parents[1] / "examples" / "compare_methods.ipynb"
"""Read as JSON: a notebook is a list of cells, and no kernel is needed to run them."""


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    shown = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in shown} == {"execute_result"}
    assert len(shown) >= 4
    code = "\n".join("".join(cell["source"]) for cell in cells) + "\nassert len(said) == 3\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # other tests run beside it
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


OWN_SOUNDS = NOTEBOOK.parent / "own-sounds"
STEP = re.compile(r"(?ms)^```python\n(?P<python>.*?)^```|^    (?P<command>(?:python|petl-bench|cd) .*?)(?:  +#.*?)?$")
QUICK = {
    "recordings evening.flac": "recordings evening.flac --recordings 6",
    "--epochs 30 --seeds 0-2": "--epochs 1 --folds 1,2 --executor in_process",
    "--epochs 200 --seeds 0-2": "--epochs 2 --folds 1,2 --executor in_process",
}


@pytest.mark.slow
def test_own_sounds_go_from_files_to_a_leaderboard_and_predictions(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command and every piece of Python on the page, in order, with fewer clips, folds, epochs and seeds."""
    monkeypatch.chdir(tmp_path)
    page = (OWN_SOUNDS / "README.md").read_text("utf-8")
    for long, short in QUICK.items():
        assert long in page
        page = page.replace(long, short)
    said: dict[str, tuple[int, str]] = {}
    scope: dict[str, object] = {}
    for step in STEP.finditer(page):
        if step["python"]:
            exec(step["python"], scope)
            continue
        program, *arguments = shlex.split(step["command"])
        if program == "cd":
            monkeypatch.chdir(arguments[0])
        elif program == "python":
            monkeypatch.setattr(sys, "argv", arguments)
            runpy.run_path(str(OWN_SOUNDS / arguments[0]), run_name="__main__")
        else:
            if arguments[0] == "export":
                runs = ResultsTree(Path("results")).run_folders().items()
                arguments[1] = next(key for key, folder in runs if (folder / "adapter").is_dir())
            code, out, err = command(*arguments)
            assert code == int("data verify yard" in step["command"]), f"{step['command']}\n{out}{err}"
            said[arguments[0]] = code, out
    assert "cut short" in said["data"][1]
    assert "2 pairs" in said["data"][1]
    assert command("data", "verify", "yard")[0] == 0
    assert "conformer" in said["compare"][1]
    assert Path("leaderboard.html").is_file()
    assert "evening.flac" in said["predict"][1]
