"""kill -9 at any moment, and many processes at once: nothing lost, nothing twice, nothing damaged."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from petl_bench.results import ResultsTree
from tests.faults.studies import arguments, ended, left_over, run_here, start
from tests.studies import Command, computed

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]  # processes enough, one test at a time

KILLS = int(os.environ.get("PETL_BENCH_TEST_KILLS", "3"))
PROCESSES = int(os.environ.get("PETL_BENCH_TEST_PROCESSES", "3"))
EPOCHS = KILLS
"""The more kills, the longer the runs: the study should last until the last of them."""


def workers(parent: subprocess.Popen[str]) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(parent.pid)], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in listed.stdout.split()]


def test_kills_at_random_moments_lose_damage_and_repeat_nothing(tmp_path: Path, command: Command) -> None:
    """The study's own process and its workers are killed in turn, at random; then it is left alone."""
    more = ["--epochs", str(EPOCHS), "--checkpoint-every", "1", "--jobs", "2"]
    chance, killed, log = random.Random(0), {"study": 0, "worker": 0}, tmp_path / "log"
    process = start(tmp_path / "disturbed", *more, log=log)
    while sum(killed.values()) < KILLS:
        time.sleep(chance.uniform(0.2, 10))
        assert process.poll() in (None, 0, 1, -signal.SIGKILL), log.read_text()[-2000:]
        if process.poll() is None:
            victim = chance.choice([process.pid, *workers(process)])
            killed["study" if victim == process.pid else "worker"] += 1
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            if victim == process.pid:
                process.wait()
        elif process.returncode == 0:
            break
        if process.poll() is not None:
            process = start(tmp_path / "disturbed", *more, "--retry-failed", log=log)
    process.wait()
    assert start(tmp_path / "disturbed", *more, "--retry-failed", log=log).wait() == 0, log.read_text()[-2000:]
    print(f"killed: {killed}; runs trained: {len(ended(log))}; resumed: {log.read_text().count('goes on after epoch')}")

    assert sum(killed.values()) >= KILLS // 2
    run_here(command, arguments(tmp_path / "calm", "--epochs", str(EPOCHS)))
    assert len(computed(tmp_path / "calm")) == 20
    assert computed(tmp_path / "disturbed") == computed(tmp_path / "calm")
    tree = ResultsTree(tmp_path / "disturbed")
    assert len(list(tree.root.glob("[!.]*/*/*/*/run.json"))) == 20
    assert tree.records()[1] == []
    assert len(ended(log)) == len(set(ended(log)))
    assert [path for path in left_over(tree.root) if path.startswith((".checkpoints", ".claims"))] == []


def test_processes_that_start_at_once_train_every_run_once(tmp_path: Path, command: Command) -> None:
    more = ["--epochs", "4", "--folds", "1-3"]
    logs = [tmp_path / f"log{number}" for number in range(PROCESSES)]
    processes = [start(tmp_path / "shared", *more, "--executor", "in_process", log=log) for log in logs]
    assert [process.wait() for process in processes] == [0] * PROCESSES, logs[0].read_text()[-2000:]
    trained = [title for log in logs for title in ended(log)]
    assert len(trained) == len(set(trained)) == 12
    for log in logs:  # every process ends with the whole table
        assert re.search(r"^linear .* 6/6", log.read_text(), re.MULTILINE), log.read_text()
    assert left_over(tmp_path / "shared") == []
    run_here(command, arguments(tmp_path / "alone", *more))
    assert computed(tmp_path / "shared") == computed(tmp_path / "alone")


def test_an_owner_that_was_paused_and_wakes_finds_that_another_was_first(tmp_path: Path) -> None:
    """A study is stopped in a run, its claim falls silent, another process does the run; then the first goes on."""
    more = ["--epochs", "30", "--folds", "1", "--seeds", "0", "--methods", "linear", "--executor", "in_process"]
    more += ["--checkpoint-every", "1"]
    slept, other = tmp_path / "slept", tmp_path / "other"
    sleeper = start(tmp_path / "shared", *more, log=slept)
    while not list((tmp_path / "shared" / ".checkpoints").glob("*.safetensors")):  # until it surely trains
        assert sleeper.poll() is None, slept.read_text()
        time.sleep(0.01)
    sleeper.send_signal(signal.SIGSTOP)
    (claim,) = (tmp_path / "shared" / ".claims").glob("*.1")
    os.utime(claim, (1, 1))
    assert start(tmp_path / "shared", *more, log=other).wait() == 0
    assert len(ended(other)) == 1
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.wait() == 0
    assert "another process recorded it first, that record stays" in slept.read_text()
    assert len(ResultsTree(tmp_path / "shared").run_folders()) == 1
    assert left_over(tmp_path / "shared") == []
