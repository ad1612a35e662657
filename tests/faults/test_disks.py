"""A disk that is full or may not be written to: one clear line, and what was recorded before is whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from petl_bench.results import ResultsTree
from tests.faults.studies import arguments
from tests.leaderboard.trees import GOLDEN
from tests.studies import Command, computed

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]  # processes enough, one test at a time

SMALL = ["--folds", "1-2", "--seeds", "0-3", "--limit", "2", "--epochs", "1"]
SMALL += ["--methods", "linear", "--executor", "in_process"]


def with_a_disk_of_its_own(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which ``folder`` is another small file system that only the script sees."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare, which gives a process mounts of its own, is not installed")
    folder.mkdir(exist_ok=True)
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*mount, f"mount -t tmpfs none {folder}"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives processes no mounts of their own")
    return subprocess.run([*mount, script], capture_output=True, text=True, check=False)


def quoted(results: Path, *more: str) -> str:
    return " ".join(f"'{part}'" for part in arguments(results, *SMALL, *more))


SIZES = ["48k", *(pytest.param(size, marks=pytest.mark.exhaustive) for size in ("24k", "80k"))]


@pytest.mark.parametrize("size", SIZES)
def test_a_full_disk_is_one_line_and_earlier_records_are_whole(tmp_path: Path, command: Command, size: str) -> None:
    disk, saved = tmp_path / "disk", tmp_path / "saved"
    script = f"mount -t tmpfs -o size={size} none {disk} && {quoted(disk / 'results')}; code=$?; cp -r {disk} {saved}; exit $code"
    done = with_a_disk_of_its_own(disk, script)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"petl-bench: {disk / 'results'} cannot be written to (No space left on device); ")
    assert "what was recorded before is intact, and the same command goes on from there" in line
    tree = ResultsTree(saved / "results")
    records, problems = tree.records()
    assert problems == []
    assert len(computed(tree.root)) == len(records) < 8
    code, out, err = command(*arguments(tree.root, *SMALL)[1:])
    assert code == 0, out + err
    assert len(computed(tree.root)) == 8


def test_a_folder_that_may_only_be_read_is_one_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    first = f"mount -t tmpfs none {disk} && {quoted(disk / 'results', '--seeds', '0')} > /dev/null"
    then = f"mount -o remount,ro {disk} && {quoted(disk / 'results')}; code=$?; find {disk} -name run.json | wc -l; exit $code"
    done = with_a_disk_of_its_own(disk, f"{first} && {then}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "cannot be written to (Read-only file system)" in line
    assert done.stdout.strip() == "2"


@pytest.mark.parametrize("action", ["prune", "migrate"])
def test_upkeep_of_a_folder_that_may_only_be_read_is_one_line(tmp_path: Path, action: str) -> None:
    disk, tree = tmp_path / "disk", tmp_path / "results"
    shutil.copytree(GOLDEN / "results", tree)
    (tree / "synthetic").rename(tree / "elsewhere")  # which migrate would put right
    next(tree.glob("*/*/*/*/run.json")).write_text("damaged")  # which prune would delete
    verb = f"{sys.executable} -m petl_bench results {action} --results {disk}/results"
    done = with_a_disk_of_its_own(
        disk, f"mount -t tmpfs none {disk} && cp -r {tree} {disk} && mount -o remount,ro {disk} && {verb}"
    )
    assert done.returncode == 2
    assert done.stderr == f"petl-bench: --results {disk}/results: cannot be written to (Read-only file system)\n"
