"""Versions of what numbers depend on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("petl-bench", "torch", "torchaudio", "transformers", "huggingface-hub", "numpy", "scipy", "scikit-learn")


def package_versions() -> dict[str, str]:
    """Version of Python and of every package, "not installed" where it is not."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
