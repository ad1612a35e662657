"""What verbs load, seen in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys

ONE_BY_ONE = """
import contextlib, io, json, sys
from petl_bench.cli import main
slow = {"torch", "transformers", "pandas", "sklearn"}
for verb in json.loads(sys.argv[1]):
    sys.argv = ["petl-bench", *verb]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            main()
    except SystemExit as stop:
        print(json.dumps([verb, stop.code, sorted(slow & sys.modules.keys())]))
"""


def slow_imports(verbs: list[list[str]]) -> dict[str, list[str]]:
    """Slow packages that are there after each verb, one verb after the other in one process; all verbs must succeed."""
    said = subprocess.check_output([sys.executable, "-c", ONE_BY_ONE, json.dumps(verbs)], text=True)
    found = {}
    for verb, code, slow in map(json.loads, said.splitlines()):
        assert code == 0, verb
        found[" ".join(verb)] = slow
    return found
