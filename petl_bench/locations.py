"""Where data and caches live: flags first, then petl-bench's environment variables, then the platform's folders."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from petl_bench.errors import UserError

DATA_VARIABLE = "PETL_BENCH_DATA"
CACHE_VARIABLE = "PETL_BENCH_CACHE"


def data_folder(benchmark: str, data_dir: Path | None, shared: str = "") -> Path:
    """Folder of a benchmark's data: ``data_dir`` as given, else ``$PETL_BENCH_DATA/<benchmark>``, else ``data/...``.

    Where there is no folder of the benchmark's own name, it is that of the data set ``shared``.
    """
    if data_dir is not None:
        return data_dir.expanduser()
    parent = Path(os.environ.get(DATA_VARIABLE) or "data").expanduser()
    own = parent / benchmark
    return parent / shared if shared and not own.exists() else own


def cache_folder() -> Path:
    """``$PETL_BENCH_CACHE``, else the platform's cache folder."""
    configured = os.environ.get(CACHE_VARIABLE)
    return Path(configured).expanduser() if configured else Path(platformdirs.user_cache_dir("petl-bench"))


def unwritable_cache(folder: Path, error: OSError) -> UserError:
    """The error for a cache that cannot be written to."""
    reason = error.strerror or error
    return UserError(f"the cache {folder} cannot be written to ({reason}); set {CACHE_VARIABLE} to another folder")
