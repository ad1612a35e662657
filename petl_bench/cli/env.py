"""``petl-bench env``: versions, devices and folders, for a bug report."""

from __future__ import annotations

import json
import os
import platform

from petl_bench.cli._options import Json


def env(as_json: Json = False) -> None:
    """Print versions, devices, threads and the folders in use."""
    import torch
    from huggingface_hub import constants

    from petl_bench.card_files import built_in_folder
    from petl_bench.environment import package_versions
    from petl_bench.locations import CACHE_VARIABLE, DATA_VARIABLE, cache_folder, data_folder

    facts: dict[str, object] = {**package_versions(), "platform": platform.platform()}
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
