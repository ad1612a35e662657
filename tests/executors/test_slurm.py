"""A real Slurm on loopback: runs in array tasks, and nothing lost or done twice where these end before their runs do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from petl_bench.cluster.submission import submissions
from petl_bench.cluster.submit import task_shell
from petl_bench.results import ResultsTree
from tests.executors.loopback_slurm import LoopbackSlurm, lacking
from tests.faults.studies import left_over
from tests.studies import Command, computed, one_thread

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

PROFILE = """
time = 5
grace = 12
cpus = 1
"""
SLOW = """
import os, time
from petl_bench.methods.bottleneck import Bottleneck

def pause(*_):
    if os.environ.get("SLURM_ARRAY_TASK_ID") in ("0", "1", "2") and "SLURM_RESTART_COUNT" not in os.environ:
        time.sleep(2)

class Slow(Bottleneck):
    '''The first three array tasks take long where they were not started again.'''
    def build(self, geometry):
        adapter = super().build(geometry)
        adapter.register_forward_hook(pause)
        return adapter
"""
EPOCHS = 15
STUDY = [
    "--dataset",
    "synthetic",
    "--limit",
    "1",
    "--backbone",
    "mini_random",
    "--epochs",
    str(EPOCHS),
    "--device",
    "cpu",
]
STUDY += ["--checkpoint-every", "1", "--set", "Slow.placement.layers=last:1", "--methods", "slow.py"]


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSlurm]:
    if why := lacking():
        pytest.skip(f"no Slurm here: {why}")
    with LoopbackSlurm(tmp_path_factory.mktemp("slurm"), cpus=3) as slurm:
        yield slurm


@pytest.fixture
def slurm(loopback: LoopbackSlurm, monkeypatch: pytest.MonkeyPatch) -> LoopbackSlurm:
    for name, value in loopback.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("slurm.toml").write_text(PROFILE)
    Path("slow.py").write_text(SLOW)
    return loopback


def start(*arguments: str, log: Path) -> subprocess.Popen[str]:
    with log.open("a") as file:
        return subprocess.Popen([sys.executable, "-m", "petl_bench", *arguments], stdout=file, stderr=file, text=True)


def until(is_so: Callable[[], object], seconds: float, otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.2)


def process_of(task: int) -> int:
    """The process that does an array task's work: what Slurm starts on the node."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        is_worker = b"submitit.core._submit" in words and b"python" in words[0]
        if is_worker and f"SLURM_ARRAY_TASK_ID={task}".encode() in environment:
            return int(folder.name)
    raise AssertionError(f"no process of task {task}")


def test_an_array_with_a_task_cancelled_one_killed_and_one_at_its_limit_ends_with_every_run_once(
    slurm: LoopbackSlurm, tmp_path: Path, command: Command, request: pytest.FixtureRequest
) -> None:
    results, calm, log = tmp_path / "results", tmp_path / "calm", tmp_path / "log"
    study = ["run", *STUDY, "--folds", "1-3", "--seeds", "0,1"]
    waiting = start(*study, "--results", str(results), "--executor", "slurm", log=log)
    request.addfinalizer(waiting.kill)

    def status(*more: str) -> str:
        code, shown, _ = command("status", "--results", str(results), *more)
        assert code == 0
        with (tmp_path / "statuses").open("a") as file:
            file.write(f"{shown}\n")
        return shown

    def tasks() -> str:
        return slurm.ask("squeue", "-r", "-t", "all", "-o", "%i %T")

    def everything() -> str:
        logs = [path.read_text() for folder, _ in submissions(results) for path in (folder / "submitit").glob("*log*")]
        return "\n".join([log.read_text(), slurm.ask("squeue", "-t", "all"), *logs])[-6000:]

    until(lambda: len(list(results.glob(".checkpoints/[!.]*"))) >= 3, 90, everything)
    first = status()
    ((_, submission),) = submissions(results)
    job = submission.job
    assert submission.numbers == [f"{job}_{task}" for task in range(6)]
    assert re.search(rf"{job}_0 +running .* epoch \d+ of {EPOCHS}", first)
    slurm.ask("scontrol", "update", f"JobId={job}_0", "TimeLimit=1")  # of this one alone, however slow the machine is
    slurm.ask("scancel", f"{job}_2")
    until(lambda: f"{job}_2 CANCELLED" in tasks(), 60, everything)
    os.kill(process_of(1), signal.SIGKILL)
    until(lambda: f"{job}_1 PENDING" in tasks(), 60, everything)
    second = status()
    assert re.search(rf"{job}_2 +lost \(cancelled\)", second)
    assert re.search(rf"{job}_1 +pending .* started again 1 time; killed 1 time", second)
    with one_thread():  # as a task of one CPU has
        assert command(*study, "--results", str(calm), "--executor", "in_process")[0] == 0

    assert waiting.wait(300) == 1, everything()
    assert f"its task {job}_2 ended without it (CANCELLED); the same command submits it again" in log.read_text()
    assert len(computed(results)) == 5
    code, out, _ = command(*study, "--results", str(results), "--executor", "slurm")
    assert (code, "1 run to train, 5 already on record" in out) == (0, True), everything()
    until(lambda: " RUNNING" not in tasks() and " COMPLETING" not in tasks(), 30, everything)
    third = status("--all")
    assert "6 of 6 runs recorded; tasks: 6 done" in third
    assert "1 of 1 runs recorded; tasks: 1 done" in third

    assert len(computed(results)) == 6
    assert computed(results) == computed(calm)
    trained = re.findall(r"(fold \d, seed \d): trained", everything_logged(results))
    assert len(trained) == len(set(trained)) == 6
    stopped = [record for record in ResultsTree(results).records()[0] if "resumed" in record.meta_info.system_info]
    before = {(record.spec.fold, record.spec.seed): record.meta_info.system_info["resumed"] for record in stopped}
    assert before.keys() >= {(1, 0), (1, 1), (2, 0)}  # at its limit, killed, cancelled; a slow machine may stop others
    assert all(1 <= attempts[0]["epochs"] < EPOCHS for attempts in before.values())
    assert left_over(results) == []


def everything_logged(results: Path) -> str:
    """What the array tasks of a results folder printed."""
    folders = [folder / "submitit" for folder, _ in submissions(results)]
    return "\n".join(path.read_text() for folder in folders for path in sorted(folder.glob("*_log.out")))


def test_what_was_submitted_is_found_again_shown_and_cancelled(
    slurm: LoopbackSlurm, tmp_path: Path, command: Command
) -> None:
    results = str(tmp_path / "results")

    def said(verb: str, *arguments: str) -> str:
        code, out, err = command(verb, *arguments, "--results", results)
        assert (code, err) == (0, "")
        return out

    Path("slurm.toml").write_text(PROFILE + 'runs_per_task = 2\narray_parallelism = 1\nextra = { begin = "now+600" }\n')
    study = ["run", *STUDY, "--epochs", "1", "--folds", "1-3", "--executor", "slurm"]
    assert "2 array tasks of up to 2 runs, at most 1 at a time" in said(*study, "--plan")
    assert said("status").startswith("nothing was submitted")
    assert "submitted as job" in said(*study, "--detach")
    again = said(*study, "--detach")
    assert "3 of them are in SLURM's queue already" in again
    assert "submitted as job" not in again
    shown = said("status")
    assert "0 of 3 runs recorded; tasks: 2 pending" in shown
    assert len(re.findall(r"^  \d+_[01] +pending +0 of [12]", shown, re.MULTILINE)) == 2, shown
    assert said("cancel").startswith("cancelled 2 tasks: ")
    assert "tasks: 2 lost" in said("status")  # (cancelled), where Slurm had told them apart before
    said(*study[:-1], "in_process")
    assert said("status") == "1 submitted, all done (--all shows them)\n"


def test_what_sbatch_refuses_is_one_line(slurm: LoopbackSlurm, tmp_path: Path, command: Command) -> None:
    Path("slurm.toml").write_text(PROFILE + 'partition = "nowhere"\n')
    results = tmp_path / "results"
    code, _, err = command("run", *STUDY, "--folds", "1", "--executor", "slurm", "--results", str(results))
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("petl-bench: sbatch refuses 1 array task of one run")
    assert "invalid partition specified: nowhere" in line
    assert list(submissions(results)) == []


def test_a_search_is_not_packed_into_array_tasks(slurm: LoopbackSlurm, tmp_path: Path, command: Command) -> None:
    search = ["sweep", "tune", "--dataset", "synthetic", "--methods", "linear", "--backbone", "mini_random"]
    search += ["--trials", "1", "--folds", "1", "--epochs", "1", "--limit", "1", "--out", str(tmp_path / "page")]
    code, _, err = command(*search, "--executor", "slurm", "--results", str(tmp_path / "results"))
    assert code == 2
    assert err.startswith("petl-bench: --executor slurm: a search is conducted by processes, of which any number may")


def test_of_an_array_only_the_task_that_was_killed_is_started_again(slurm: LoopbackSlurm, tmp_path: Path) -> None:
    """Also where Slurm gives the task the number of the whole array, as it does to one of them."""
    (tmp_path / "deaths").mkdir()
    kill = "[ $SLURM_JOB_ID = $SLURM_ARRAY_JOB_ID ] && kill -9 $$; sleep 60"
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/bash\n{task_shell(tmp_path)}\nsrun bash -c '{kill}'\n")
    job = slurm.ask("sbatch", "--parsable", "--array=0-2", f"--output={tmp_path}/%a.out", str(script)).strip()

    def states() -> str:
        return slurm.ask("squeue", "-r", "-j", job, "-h", "-o", "%i %T %r")

    until(lambda: "BeginTime" in states(), 30, states)
    assert sorted(states().splitlines()) == [
        f"{job}_0 RUNNING None",
        f"{job}_1 RUNNING None",
        f"{job}_2 PENDING BeginTime",
    ]
    assert [path.name for path in (tmp_path / "deaths").iterdir()] == ["2"]
    slurm.ask("scancel", job)
