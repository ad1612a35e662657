"""A search whose processes and workers are killed: exactly the trials that were asked for, none lost, none twice."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from petl_bench.records import read_record
from petl_bench.results import ResultsTree
from petl_bench.sweeps.search.ledger import RUNS, is_lost
from petl_bench.sweeps.search.storage import open_journal
from tests.faults.studies import PETL_BENCH, left_over, run_here
from tests.faults.test_kills import workers
from tests.studies import Command

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]  # processes enough, one test at a time

KILLS = int(os.environ.get("PETL_BENCH_TEST_KILLS", "3"))
TRIALS, FOLDS = 8, 2
CARD = f"""
title = "x"
benchmarks = ["synthetic"]
methods = ["linear"]
seeds = [0]
[search]
sampler = "random"
trials = {TRIALS}
[search.space]
lr = {{ low = 1e-3, high = 1e-1, log = true }}
"""


def arguments(results: Path, epochs: int, *more: str) -> list[str]:
    """A search of short runs on generated clips."""
    (card := results.parent / "small.toml").write_text(CARD)
    options = ["--folds", "1,2", "--epochs", str(epochs), "--limit", "2", "--device", "cpu", *more]
    return [PETL_BENCH, "sweep", str(card), *options, "--results", str(results), "--out", str(results.parent / "out")]


def start(results: Path, log: Path, epochs: int) -> subprocess.Popen[str]:
    with log.open("a") as file:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = arguments(results, epochs, "--checkpoint-every", "1", "--retry-failed")
        return subprocess.Popen(command, env=environment, stdout=file, stderr=file, text=True)


def trials_of(results: Path) -> list[FrozenTrial]:
    storage = open_journal(results / "searches" / "small.journal")
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).get_trials()


def tried(results: Path) -> list[tuple[float, str]]:
    """Every trial's learning rate and what its runs made of their validation clips."""
    kept = [trial for trial in trials_of(results) if not is_lost(trial)]
    return sorted((trial.params["lr"], str([run["metrics"] for run in trial.user_attrs[RUNS]])) for trial in kept)


def test_two_processes_that_are_killed_end_with_exactly_the_trials_asked_for(tmp_path: Path, command: Command) -> None:
    chance, killed, log = random.Random(0), {"search": 0, "worker": 0}, tmp_path / "log"
    shared, epochs = tmp_path / "shared", 2 * KILLS
    processes = [start(shared, log, epochs) for _ in range(2)]
    while sum(killed.values()) < KILLS:
        time.sleep(chance.uniform(1, 5))
        at = chance.randrange(2)
        if processes[at].poll() == 0:
            break
        victim = chance.choice([processes[at].pid, processes[at].pid, *workers(processes[at])])
        killed["search" if victim == processes[at].pid else "worker"] += 1
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        if victim == processes[at].pid:
            processes[at].wait()
            processes[at] = start(shared, log, epochs)
    codes = [process.wait() for process in processes]
    said = log.read_text()
    assert codes == [0, 0], said[-3000:]
    lost = [trial.number for trial in trials_of(shared) if is_lost(trial)]
    print(f"killed: {killed}; trials lost and tried again: {len(lost)}")

    assert sum(killed.values()) >= KILLS - 1
    kept = [trial for trial in trials_of(shared) if not is_lost(trial)]
    assert [trial.state for trial in kept] == [TrialState.COMPLETE] * TRIALS
    assert len({trial.params["lr"] for trial in kept}) == TRIALS
    trained = re.findall(r"^\[\d+/\d+\] trial (\d+): validation", said, re.MULTILINE)
    assert len(trained) == len(set(trained)) <= TRIALS  # a killed process may not have come to say so
    records = [read_record(folder) for folder in ResultsTree(shared).run_folders().values()]
    assert len([record for record in records if record.spec.seed == 1000]) == TRIALS * FOLDS
    assert [path for path in left_over(shared) if not path.startswith("failed")] == [], said[-3000:]

    run_here(command, arguments(tmp_path / "calm", epochs))
    assert tried(tmp_path / "calm") == tried(shared)
