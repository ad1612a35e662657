"""Workers that end before their runs do, and what they and their studies leave: nothing lost, nobody held up."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from petl_bench.claims import Owner
from petl_bench.execution import Execution
from petl_bench.executors import worker
from petl_bench.plan import PlannedRun
from tests.executors.watching import LOCAL, Acting, living_workers, undisturbed
from tests.studies import Log, Study, computed


def test_a_worker_that_is_killed_is_replaced_and_its_run_goes_on(study: Study, tmp_path: Path) -> None:
    killed = []

    def act(run: PlannedRun, epoch: int) -> None:
        if epoch == 3 and not killed:
            (process,) = living_workers()
            os.kill(process, signal.SIGKILL)
            killed.append(process)

    changes = {"methods": ("lora", "linear"), "epochs": 5, "limit": 1}
    outcome = study.run(log := Acting(act), LOCAL, **changes)
    assert (outcome.trained, outcome.failed) == (2, [])
    assert log.remarks[0] == "its worker ended (by SIGKILL); the run is tried once more"
    assert log.remarks[1].startswith("goes on after epoch ")
    assert computed(study.tree.root) == undisturbed(tmp_path / "expected", **changes)


def test_a_worker_that_is_to_leave_keeps_its_run_after_the_epoch_it_is_in(study: Study, tmp_path: Path) -> None:
    asked = []

    def act(run: PlannedRun, epoch: int) -> None:
        if epoch == 2 and not asked:
            (process,) = living_workers()
            os.kill(process, signal.SIGTERM)
            asked.append(process)

    outcome = study.run(log := Acting(act), Execution(threads=1), epochs=40)  # no checkpoint is due by itself
    assert (outcome.trained, outcome.failed) == (1, [])
    assert log.remarks[0] == "its worker ended (by SIGTERM); the run is tried once more"
    assert log.remarks[1].startswith("goes on after epoch ")
    assert computed(study.tree.root) == undisturbed(tmp_path / "expected", epochs=40)
    assert [*study.tree.root.glob(".claims/*"), *study.tree.root.glob(".checkpoints/*")] == []


FATAL = """
import ctypes, os, signal
from pathlib import Path
from petl_bench.methods.linear import Linear
class Killed(Linear):
    '''Ends its process; the classes below do so in other ways, the last one once.'''
    times = 2
    def attach(self, backbone):
        super().attach(backbone)
        name = type(self).__name__
        print("attaching", name)
        marks = Path("marks", name)
        marks.mkdir(parents=True, exist_ok=True)
        if len(list(marks.iterdir())) < self.times:
            (marks / str(os.getpid())).touch()
            self.end()
    def end(self):
        os.kill(os.getpid(), signal.SIGKILL)
class Crashes(Killed):
    def end(self):
        ctypes.string_at(0)
class LeavesOnce(Killed):
    times = 1
    def end(self):
        os._exit(7)
"""


def test_a_run_that_ends_its_worker_twice_fails_with_the_cause_and_alone(study: Study) -> None:
    Path("fatal.py").write_text(FATAL)
    names = ("Killed", "Crashes", "LeavesOnce")
    outcome = study.run(log := Log(), LOCAL, methods=(*(f"fatal.py:{name}" for name in names), "linear"))
    assert outcome.trained == 2
    assert [(run.method, reason) for run, reason in outcome.failed] == [
        ("Killed", "WorkerDiedError: its worker ended twice, the second time by SIGKILL"),
        ("Crashes", "WorkerDiedError: its worker ended twice, the second time by SIGSEGV"),
    ]
    causes = ("by SIGKILL", "by SIGSEGV", "with exit code 7")
    assert log.remarks == [f"its worker ended ({cause}); the run is tried once more" for cause in causes]
    assert [log.heard.count(f"attaching {name}") for name in names] == [2, 2, 2]
    assert not any("Fatal Python error" in line or line.startswith("  File") for line in log.heard)
    failures = [json.loads(path.read_text()) for path in (study.tree.root / "failed").glob("*.json")]
    said = {failure["title"].partition(" ")[0]: failure["traceback"] for failure in failures}
    assert "attaching Killed" in said["Killed"]
    assert "Segmentation fault" not in said["Killed"]
    assert "attaching Crashes" in said["Crashes"]
    assert "Segmentation fault" in said["Crashes"]
    assert not list(study.tree.claims.folder.glob("*"))


PARENT = """
import os, sys
from pathlib import Path
from petl_bench.execution import Execution
from tests.studies import Log, Study, computed
class Loud(Log):
    def epoch(self, run, epoch, log):
        print(epoch, flush=True)
Study(Path(sys.argv[1])).run(Loud(), Execution(threads=1, checkpoint_every=1), epochs=400)
"""


def test_workers_do_not_outlive_the_process_that_started_them(study: Study) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PARENT, str(study.tree.root)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "1\n"
        (claim,) = study.tree.root.glob(".claims/*")
        owner = Owner(**json.loads(claim.read_text()))
        assert owner.pid != parent.pid
        assert not owner.is_gone
        parent.kill()
    deadline = time.monotonic() + 60
    while not owner.is_gone and time.monotonic() < deadline:
        time.sleep(0.05)
    assert owner.is_gone
    assert list(study.tree.root.glob(".checkpoints/*"))
    assert study.tree.run_folders() == {}


def _report_to_a_judge_who_does_not_answer(told: Path) -> None:
    with told.open("w") as file:
        os.dup2(file.fileno(), 1)
        worker.SILENT_SECONDS = 0.2
        channel = worker.Channel(iter(threading.Event().wait, 0), worker.Leaving())
        channel.judged = True
        channel.epoch(1, {})


def test_a_worker_whose_judge_does_not_answer_gives_its_run_back(tmp_path: Path) -> None:
    """The study's process is paused: others can only go on where the worker's claim falls silent."""
    process = multiprocessing.get_context("fork").Process(
        target=_report_to_a_judge_who_does_not_answer, args=(tmp_path / "told",)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 1
    assert json.loads((tmp_path / "told").read_text())["event"] == "epoch"
