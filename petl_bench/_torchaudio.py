"""Stand-in for ``torchaudio._extension`` where its compiled library cannot be loaded.

torchaudio's Linux wheel is built against CUDA; beside a CPU-only torch the import of its compiled extension raises
OSError, and with it ``import torchaudio`` and transformers' audio models fail. Only torchaudio's pure-Python parts are
used here. The hook lets the real extension load first and fills in the few names that the pure-Python parts import
when, and only when, that raised OSError. It works whoever imports torchaudio first after petl_bench.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

EXTENSION = "torchaudio._extension"


def _needs_compiled_extension(*_: Any, **__: Any) -> None:
    raise RuntimeError("this torchaudio function needs torchaudio's compiled extension, which cannot be loaded here")


class _TolerantLoader(Loader):
    """Runs the real loader; on OSError fills the module with the values of a build without the extension."""

    def __init__(self, real: Loader) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        try:
            self.real.exec_module(module)
        except OSError:
            names = vars(module)
            names["_IS_TORCHAUDIO_EXT_AVAILABLE"] = False
            names["_IS_ALIGN_AVAILABLE"] = False
            names["fail_if_no_align"] = lambda function: _needs_compiled_extension


class _ExtensionFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != EXTENSION:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _TolerantLoader(spec.loader)
        return spec


def install() -> None:
    """Put the finder first on ``sys.meta_path``, once."""
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ExtensionFinder())
