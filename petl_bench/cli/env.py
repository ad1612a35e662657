"""``petl-bench env``: versions, devices and folders, for a bug report."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version

from petl_bench.cli._options import Json

PACKAGES = ("petl-bench", "torch", "torchaudio", "transformers", "huggingface-hub", "numpy", "scikit-learn", "pandas")


def env(as_json: Json = False) -> None:
    """Print versions, devices, threads and the folders in use."""
    import torch
    from huggingface_hub import constants

    from petl_bench.cards import built_in_folder
    from petl_bench.locations import CACHE_VARIABLE, DATA_VARIABLE, cache_folder, data_folder

    facts: dict[str, object] = {"python": platform.python_version(), "platform": platform.platform()}
    facts |= {name: _version(name) for name in PACKAGES}
    facts |= {
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "data": f"{data_folder('<benchmark>', None)} ({DATA_VARIABLE})",
        "cache": f"{cache_folder()} ({CACHE_VARIABLE})",
        "hub cache": constants.HF_HUB_CACHE,
        "built-in cards": str(built_in_folder("methods").parent),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        print(f"{name:<16}{(', '.join(value) or 'none') if isinstance(value, list) else value}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
