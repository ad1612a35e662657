"""Shared fixtures: real data where there is some, small studies, and a cache folder of the tests' own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

import petl_bench  # noqa: F401  (installs the torchaudio stand-in before anything imports torchaudio)
from petl_bench.cli import main
from tests.studies import Command, Study

DATA_VARIABLE = "PETL_BENCH_TEST_DATA"
DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: of two processes that share the tests none waits in the end for a long one."""
    items.sort(key=lambda item: "slow" not in item.keywords)


@pytest.fixture(autouse=True, scope="session")
def _threads() -> None:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test session has its own cache and sees neither the user's data nor his cards."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("PETL_BENCH_CACHE", str(base / "cache"))
    monkeypatch.delenv("PETL_BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with ESC-10, a Speech Commands sample and reference logits; where it is named, it must be there."""
    if DATA_VARIABLE in os.environ:
        folder = Path(os.environ[DATA_VARIABLE])
        assert folder.is_dir(), f"{DATA_VARIABLE} names {folder}, which is no folder"
        return folder
    if not DEFAULT_DATA.is_dir():
        pytest.skip(f"no real data in {DEFAULT_DATA}; {DATA_VARIABLE} names another folder")
    return DEFAULT_DATA


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Runs on generated clips with the mini backbone, two clips per class and fold."""
    return Study(tmp_path / "results")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run petl-bench in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["petl-bench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run
