"""The stand-in for torchaudio's compiled extension: there when, and only when, the real one fails with OSError."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FAKE = {
    "__init__.py": "from . import _extension\n",
    "_extension/__init__.py": "{body}\n",
}


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    lines = [f"import sys; sys.path[:0] = {[str(folder) for folder in path]}", "import petl_bench", code]
    return subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)


def fake_torchaudio(folder: Path, body: str) -> Path:
    for name, text in FAKE.items():
        path = folder / "torchaudio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(body=body))
    return folder


@pytest.mark.parametrize("first", ["torchaudio", "transformers"])
def test_pure_python_parts_work_whoever_imports_first(first: str) -> None:
    code = (
        f"import {first}\nfrom transformers import ASTFeatureExtractor\nimport torch, torchaudio\n"
        "print(torchaudio.functional.resample(torch.ones(441), 44100, 16000).shape[0])"
    )
    found = run(code)
    assert found.stdout == "160\n", found.stderr


def test_a_working_extension_is_left_alone(tmp_path: Path) -> None:
    folder = fake_torchaudio(tmp_path, "_IS_TORCHAUDIO_EXT_AVAILABLE = 'real'")
    found = run("import torchaudio; print(torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE)", folder)
    assert found.stdout == "real\n"


def test_an_oserror_is_stood_in_for(tmp_path: Path) -> None:
    folder = fake_torchaudio(tmp_path, "raise OSError('libc10_cuda.so')")
    code = "import torchaudio._extension as e; print(e._IS_TORCHAUDIO_EXT_AVAILABLE)\ne.fail_if_no_align(print)('x')"
    found = run(code, folder)
    assert found.stdout == "False\n"
    assert "needs torchaudio's compiled extension" in found.stderr


def test_any_other_error_is_raised(tmp_path: Path) -> None:
    found = run("import torchaudio", fake_torchaudio(tmp_path, "raise RuntimeError('version mismatch')"))
    assert "version mismatch" in found.stderr
