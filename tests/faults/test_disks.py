"""A disk that is full or may not be written to: one clear line, and what was recorded before is whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from petl_bench.results import ResultsTree
from tests.faults.studies import arguments, computed

SMALL = ["--folds", "1-2", "--epochs", "1", "--methods", "linear", "--executor", "in_process"]


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


@pytest.mark.slow
@pytest.mark.parametrize("size", ["24k", "48k", "80k"])
def test_a_full_disk_is_one_line_and_earlier_records_are_whole(tmp_path: Path, size: str) -> None:
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
    again = subprocess.run(arguments(tree.root, *SMALL), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert len(computed(tree.root)) == 8


@pytest.mark.slow
def test_a_folder_that_may_only_be_read_is_one_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    first = f"mount -t tmpfs none {disk} && {quoted(disk / 'results', '--seeds', '0')} > /dev/null"
    then = f"mount -o remount,ro {disk} && {quoted(disk / 'results')}; code=$?; find {disk} -name run.json | wc -l; exit $code"
    done = with_a_disk_of_its_own(disk, f"{first} && {then}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "cannot be written to (Read-only file system)" in line
    assert done.stdout.strip() == "2"
