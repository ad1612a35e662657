"""Worker processes: runs as in this process, and nothing lost where a worker dies or this process does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from petl_bench.claims import Owner
from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.executors.opening import open_executor
from petl_bench.plan import PlannedRun
from petl_bench.records import read_predictions, read_record
from petl_bench.results import ResultsTree
from petl_bench.work import Task
from tests.studies import TINY, Log, Study, plan_of

THREADS = 1
LOCAL = Execution(threads=THREADS, checkpoint_every=1)

FATAL = """
import os, sys, signal
from pathlib import Path
from petl_bench.methods.linear import Linear
class Fatal(Linear):
    '''Ends its process so many times.'''
    class Config(Linear.Config):
        times: int = 1
        how: str = "kill"
    def attach(self, backbone):
        super().attach(backbone)
        print("attaching", self.config.how)
        marks = Path("marks")
        marks.mkdir(exist_ok=True)
        if len(list(marks.iterdir())) < self.config.times:
            (marks / str(os.getpid())).touch()
            if self.config.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.config.how == "segfault":
                import ctypes
                ctypes.string_at(0)
            os._exit(7)
"""


def children() -> set[int]:
    """Processes that this one has started and that live."""
    text = subprocess.run(["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    lines = [line.split(None, 2) for line in text.stdout.splitlines()]
    return {int(pid) for pid, state, args in lines if "executors.worker" in args and "Z" not in state}


class Acting(Log):
    """A log that does something when an epoch is reported."""

    def __init__(self, act: Callable[[PlannedRun, int], None]) -> None:
        super().__init__()
        self.act = act

    def epoch(self, run: PlannedRun, epoch: int, log: dict[str, float]) -> None:
        self.act(run, epoch)


def computed(tree: ResultsTree) -> dict[str, tuple[object, ...]]:
    """All that the runs of a tree computed, by key."""
    found = {}
    for key, folder in tree.run_folders().items():
        arrays = [array.tobytes() for array in vars(read_predictions(folder)).values()]
        found[key] = (arrays, read_record(folder).train_info.metrics)
    return found


@pytest.fixture
def expected(tmp_path: Path) -> Callable[..., dict[str, tuple[object, ...]]]:
    """What runs compute in this process, undisturbed, with as many threads as a worker has."""

    def compute(**changes: object) -> dict[str, tuple[object, ...]]:
        threads = torch.get_num_threads()
        torch.set_num_threads(THREADS)
        try:
            study = Study(tmp_path / "expected")
            study.run(**changes)  # type: ignore[arg-type]
            return computed(study.tree)
        finally:
            torch.set_num_threads(threads)

    return compute


def test_workers_compute_what_this_process_does_and_stop_when_done(
    study: Study, expected: Callable[..., dict[str, tuple[object, ...]]]
) -> None:
    changes = {"methods": ("lora", "conformer"), "folds": (1, 2), "epochs": 2}
    outcome = study.run(log := Log(), LOCAL.model_copy(update={"jobs": 2}), **changes)
    assert (outcome.trained, outcome.failed) == (4, [])
    assert len(log.started) == 4
    assert computed(study.tree) == expected(**changes)
    threads = [record.meta_info.system_info["threads"] for record in study.tree.records()[0]]
    assert threads == [THREADS] * 4
    assert children() == set()
    assert [*study.tree.root.glob(".claims/*"), *study.tree.root.glob(".unfinished/*")] == []


def test_a_worker_that_is_killed_is_replaced_and_its_run_goes_on(
    study: Study, expected: Callable[..., dict[str, tuple[object, ...]]]
) -> None:
    killed = []

    def act(run: PlannedRun, epoch: int) -> None:
        if epoch == 3 and not killed:
            (worker,) = children()
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    changes = {"methods": ("lora", "linear"), "epochs": 5}
    outcome = study.run(log := Acting(act), LOCAL, **changes)
    assert (outcome.trained, outcome.failed) == (2, [])
    assert log.remarks[0] == "its worker ended (by SIGKILL); the run is tried once more"
    assert log.remarks[1].startswith("goes on after epoch ")
    assert computed(study.tree) == expected(**changes)


def test_a_worker_that_is_to_leave_keeps_its_run_after_the_epoch_it_is_in(
    study: Study, expected: Callable[..., dict[str, tuple[object, ...]]]
) -> None:
    asked = []

    def act(run: PlannedRun, epoch: int) -> None:
        if epoch == 2 and not asked:
            (worker,) = children()
            os.kill(worker, signal.SIGTERM)
            asked.append(worker)

    outcome = study.run(log := Acting(act), Execution(threads=THREADS), epochs=40)  # no checkpoint is due by itself
    assert (outcome.trained, outcome.failed) == (1, [])
    assert log.remarks[0] == "its worker ended (by SIGTERM); the run is tried once more"
    assert log.remarks[1].startswith("goes on after epoch ")
    assert computed(study.tree) == expected(epochs=40)
    assert [*study.tree.root.glob(".claims/*"), *study.tree.root.glob(".checkpoints/*")] == []


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("kill", "by SIGKILL"),
        pytest.param("segfault", "by SIGSEGV", marks=pytest.mark.slow),
        pytest.param("exit", "with exit code 7", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_ends_its_worker_twice_fails_with_the_cause_and_alone(study: Study, how: str, cause: str) -> None:
    Path("fatal.py").write_text(FATAL)
    settings = ("Fatal.times=2", f"Fatal.how={how}")
    outcome = study.run(log := Log(), LOCAL, methods=("fatal.py", "linear"), settings=settings)
    assert outcome.trained == 1
    ((run, reason),) = outcome.failed
    assert run.method == "Fatal"
    assert reason == f"WorkerDiedError: its worker ended twice, the second time {cause}"
    assert log.remarks == [f"its worker ended ({cause}); the run is tried once more"]
    assert log.heard.count(f"attaching {how}") == 2
    assert not any("Fatal Python error" in line or line.startswith("  File") for line in log.heard)
    (failure,) = (study.tree.root / "failed").glob("*.json")
    told = json.loads(failure.read_text())["traceback"]
    assert f"attaching {how}" in told
    assert ("Segmentation fault" in told) == (how == "segfault")


@pytest.mark.slow
def test_a_run_that_ends_its_worker_once_is_done(study: Study) -> None:
    Path("fatal.py").write_text(FATAL)
    outcome = study.run(Log(), LOCAL, methods=("fatal.py",))
    assert (outcome.trained, outcome.failed) == (1, [])


def test_an_interrupt_stops_the_workers_and_leaves_the_rest_to_the_same_call(
    study: Study, expected: Callable[..., dict[str, tuple[object, ...]]]
) -> None:
    def act(run: PlannedRun, epoch: int) -> None:
        if run.method == "linear" and epoch == 2:
            raise KeyboardInterrupt

    changes = {"methods": ("lora", "linear"), "epochs": 4}
    with pytest.raises(KeyboardInterrupt):
        study.run(Acting(act), LOCAL, **changes)
    assert children() == set()
    assert len(study.tree.run_folders()) == 1
    assert [*study.tree.root.glob(".claims/*"), *study.tree.root.glob(".unfinished/*")] == []
    outcome = study.run(log := Log(), LOCAL, **changes)
    assert (outcome.trained, outcome.skipped) == (1, 1)
    assert [remark for remark in log.remarks if remark.startswith("goes on after epoch")]
    assert computed(study.tree) == expected(**changes)


PARENT = """
import os, sys
from pathlib import Path
from petl_bench.execution import Execution
from petl_bench.work import Task
from tests.studies import TINY, Log, Study, plan_of
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
        worker = Owner(**json.loads(claim.read_text()))
        assert worker.pid != parent.pid
        assert not worker.is_gone
        parent.kill()
    deadline = time.monotonic() + 60
    while not worker.is_gone and time.monotonic() < deadline:
        time.sleep(0.05)
    assert worker.is_gone
    assert list(study.tree.root.glob(".checkpoints/*"))
    assert study.tree.run_folders() == {}


def test_a_backbone_that_cannot_be_loaded_stops_the_study_in_one_line(study: Study, tmp_path: Path) -> None:
    from transformers import ASTConfig, ASTModel

    config = ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    ASTModel(config).save_pretrained(tmp_path / "model")
    content = (tmp_path / "model" / "model.safetensors").read_bytes()
    (tmp_path / "model" / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(UserError, match="the weights cannot be loaded"):
        study.run(Log(), LOCAL, backbone=str(tmp_path / "model"))
    assert not (study.tree.root / "failed").exists()


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_one_line(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("broken").mkdir()
    Path("broken/torch.py").write_text("raise SystemExit('no torch to be had')")
    monkeypatch.syspath_prepend(str(Path("broken").resolve()))
    with pytest.raises(UserError, match="no worker can be started: with exit code 1: no torch to be had"):
        study.run(Log(), LOCAL)


def test_a_failure_in_a_worker_has_its_traceback(study: Study) -> None:
    text = "from petl_bench import Method\nclass Bad(Method):\n    def attach(self, backbone):\n        raise ValueError('no')\n"
    Path("bad.py").write_text(text)
    outcome = study.run(Log(), LOCAL, methods=("bad.py", "linear"))
    assert (outcome.trained, [reason for _, reason in outcome.failed]) == (1, ["ValueError: no"])
    (failure,) = (study.tree.root / "failed").glob("*.json")
    assert "in attach" in json.loads(failure.read_text())["traceback"]


def test_in_process_there_is_one_place(study: Study) -> None:
    with pytest.raises(UserError, match="in_process trains one run at a time"):
        study.run(Log(), Execution(executor="in_process", jobs=2))


def test_data_that_change_under_a_study_stop_it(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers open the data anew: what they find must be what was planned with."""
    import tests.studies as studies

    def planned(*arguments: object, **options: object) -> object:
        plan, workbench = plan_of(*arguments, **options)  # type: ignore[arg-type]
        spec = plan[0].spec.model_copy(update={"data": plan[0].spec.data.model_copy(update={"fingerprint": "other"})})
        return (replace(plan[0], spec=spec),), workbench

    plan_of = studies.plan_of
    monkeypatch.setattr(studies, "plan_of", planned)
    with pytest.raises(UserError, match="the data set or the backbone changed"):
        study.run(Log(), LOCAL)


ODD = """
import os
from petl_bench.methods.linear import Linear
class Input(Linear):
    def attach(self, backbone):
        input()
class Number(Linear):
    def attach(self, backbone):
        super().attach(backbone)
        assert os.read(0, 1) == b""
class Elsewhere(Linear):
    def attach(self, backbone):
        super().attach(backbone)
        os.makedirs("elsewhere", exist_ok=True)
        os.chdir("elsewhere")
class Name(Linear):
    def attach(self, backbone):
        raise ValueError("no file b\\udcffd")
class Mute(Linear):
    def attach(self, backbone):
        class Silent(Exception):
            def __str__(self):
                raise RuntimeError
        raise Silent
class Long(Linear):
    def attach(self, backbone):
        raise ValueError("\\nx" * 1_000_000)
"""


def test_what_a_method_does_to_its_process_is_its_own_affair() -> None:
    """It reads the input, goes to another folder, has errors that cannot be said: others are trained all the same."""
    Path("odd.py").write_text(ODD)
    study, log = Study(Path("results")), Log()  # a relative path
    names = ("Input", "Number", "Elsewhere", "Name", "Mute", "Long")
    outcome = study.run(log, LOCAL, methods=(*(f"odd.py:{name}" for name in names), "linear"))
    assert outcome.trained == 3
    assert [text[:30] for text in log.failed] == [
        "EOFError: EOF when reading a l", "ValueError: no file b\\udcffd", "Silent: (no message: RuntimeEr",
        "ValueError: x x x x x x x x x ",
    ]  # fmt: skip
    assert all(len(text) <= 300 for text in log.failed)
    assert not list(study.tree.claims.folder.glob("*"))
    assert not list(Path("elsewhere").glob("*"))


def test_a_run_that_ends_its_worker_twice_leaves_no_claim(study: Study) -> None:
    Path("fatal.py").write_text(FATAL)
    study.run(Log(), LOCAL, methods=("fatal.py:Fatal",), settings=("Fatal.times=9", "Fatal.how=exit"))
    assert len(study.tree.failures()) == 1
    assert not list(study.tree.claims.folder.glob("*"))


def test_a_worker_whose_judge_does_not_answer_gives_its_run_back() -> None:
    """The study's process is paused: others can only go on where the worker's claim falls silent."""
    code = (
        "import threading\n"
        "from petl_bench.executors import worker\n"
        "worker.SILENT_SECONDS = 0.2\n"
        "channel = worker.Channel(iter(threading.Event().wait, 0), worker.Leaving())\n"
        "channel.judged = True\n"
        "channel.epoch(1, {})\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["event"] == "epoch"


class Ready(list[Task]):
    """Tasks that can be started now; there may be none, and more later."""

    def __iter__(self) -> Iterator[Task]:
        return self  # type: ignore[return-value]

    def __next__(self) -> Task:
        if not self:
            raise StopIteration
        return self.pop(0)


def test_a_worker_that_found_nothing_to_do_is_asked_again_when_a_run_has_ended(study: Study) -> None:
    """A search runs dry where the runs that it needs are others', and then has several."""
    plan, workbench = plan_of(replace(TINY, seeds=(0, 1, 2)))
    study.tree.prepare()
    ready, left = Ready([Task(run=plan[0])]), []
    executor = open_executor(workbench, study.tree, LOCAL.model_copy(update={"jobs": 2}), Log())
    try:
        for _ in executor.execute(ready):
            left.append(len(ready))
            if len(left) == 1:
                ready += [Task(run=run) for run in plan[1:]]
    finally:
        executor.close()
    assert left == [0, 0, 0], "the second and the third run were not under way together"
