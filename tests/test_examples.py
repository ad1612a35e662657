"""The example notebook: its cells run in order in a fresh process, and its outputs are there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
