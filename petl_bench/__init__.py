"""petl-bench: fair comparisons of parameter-efficient transfer learning methods on audio transformers.

The names below are imported on first use, so that ``import petl_bench`` stays quick and free of torch. Comparisons from
Python: ``from petl_bench.api import run, compare, leaderboard, predict`` (``petl_bench.leaderboard`` is a package).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from petl_bench import _torchaudio

__version__ = "0.1.0"

_PUBLIC = {
    "Backbone": "petl_bench.backbones.base",
    "Clip": "petl_bench.benchmarks.dataset",
    "Layout": "petl_bench.benchmarks.dataset",
    "Method": "petl_bench.methods.base",
    "MethodConfig": "petl_bench.methods.base",
    "Request": "petl_bench.plan",
    "ResultsTree": "petl_bench.results",
    "RunRecord": "petl_bench.records",
    "RunSpec": "petl_bench.runspec",
    "UserError": "petl_bench.errors",
    "compare": "petl_bench.api",
    "predict": "petl_bench.api",
    "run": "petl_bench.api",
    "summary": "petl_bench.leaderboard.summary",
}

__all__ = [*_PUBLIC, "__version__"]

_torchaudio.install()


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'petl_bench' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
