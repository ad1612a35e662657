"""Studies as their users start them, as processes of their own, to be disturbed from outside, and undisturbed ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.studies import Command, one_thread

PETL_BENCH = str(Path(sys.executable).with_name("petl-bench"))


def arguments(results: Path, *more: str) -> list[str]:
    """A study of short runs on generated clips: 2 methods, 5 folds, 2 seeds unless ``more`` says otherwise."""
    study = ["--dataset", "synthetic", "--limit", "1", "--seeds", "0,1", "--methods", "linear,conformer"]
    return [PETL_BENCH, "run", *study, "--device", "cpu", "--results", str(results), *more]


def start(results: Path, *more: str, log: Path) -> subprocess.Popen[str]:
    """Start the study; what it prints is appended to ``log``."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("a") as file:
        return subprocess.Popen(arguments(results, *more), env=environment, stdout=file, stderr=file, text=True)


def run_here(command: Command, words: list[str]) -> None:
    """Run a command line in this process, with as many threads as the processes that are disturbed have."""
    with one_thread():
        code, out, err = command(*words[1:], "--executor", "in_process")
    assert code == 0, out + err


def ended(log: Path) -> list[str]:
    """Titles of the runs that a log says were trained, as often as it says so."""
    return re.findall(r"^\[\d+/\d+\] (.*): test [\d.]+ \(", log.read_text(), re.MULTILINE)


def left_over(results: Path) -> list[str]:
    """What a finished study leaves beside its runs."""
    folders = [results / name for name in (".claims", ".unfinished", ".checkpoints", "failed")]
    return [str(path.relative_to(results)) for folder in folders for path in folder.glob("*")]
