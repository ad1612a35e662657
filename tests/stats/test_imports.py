"""What statistics cost to import: a comparison is over in a second or it is not run."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("torch", "transformers", "sklearn", "scipy.stats", "pandas", "matplotlib")


def test_statistics_import_nothing_slow() -> None:
    code = (
        "import importlib, pkgutil, sys, petl_bench.stats as stats\n"
        "for module in pkgutil.iter_modules(stats.__path__, 'petl_bench.stats.'): importlib.import_module(module.name)\n"
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
