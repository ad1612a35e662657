"""This machine: resident worker processes, so many per device, that are replaced where they die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import torch
from pydantic import TypeAdapter

from petl_bench.errors import UserError
from petl_bench.executors.base import Executor, Judge
from petl_bench.executors.worker import STOPPING_SECONDS, WorkerSetup
from petl_bench.exit_codes import ExitCodes
from petl_bench.plan import PlannedRun
from petl_bench.work import Result, Task, file_failure

MOST_FALSE_STARTS = 3
"""Workers in a row that may end before they begin a run."""
LINES_KEPT = 40
"""Of what a worker said last, for the failure record of a run that took the worker with it."""
RESULTS: TypeAdapter[Result] = TypeAdapter(Result)


class WorkerDiedError(RuntimeError):
    """A run during which its worker process ended, twice."""


@dataclass
class Seat:
    """A place for one worker: its device, the process, the task in hand and whether that was begun."""

    device: str
    process: subprocess.Popen[str] | None = None
    task: Task | None = None
    begun: bool = False
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))


class Local(Executor):
    """A worker that dies takes no other run with it: its run is tried once more by another one."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.workbench.unload()
        self._seats = [Seat(device) for device in self.execution.devices for _ in range(self.execution.jobs)]
        self._events: SimpleQueue[tuple[Seat, subprocess.Popen[str], dict[str, Any]]] = SimpleQueue()
        self._deaths: Counter[str] = Counter()
        self._false_starts = 0
        self._exit_codes = ExitCodes()

    def prepare(self, runs: Iterable[PlannedRun]) -> None:
        """Start workers, which take a while, and meanwhile make what they need."""
        runs = list(runs)
        for seat in self._seats[: len(runs)]:
            self._start(seat)
        super().prepare(runs)

    def execute(self, tasks: Iterable[Task], judge: Judge | None = None) -> Iterator[tuple[Task, Result]]:
        coming, again = iter(tasks), deque[Task]()
        self._hand_out(coming, again)
        while any(seat.task for seat in self._seats):
            seat, process, message = self._events.get()
            task, event = seat.task, message["event"]
            if event == "said":
                self.reporter.said(message["text"])
            elif process is not seat.process:
                continue  # the last words of a worker that has been replaced
            elif event == "mistake":
                raise UserError(message["text"])
            elif event == "gone":
                seat.process = None
                with suppress(OSError):  # what it was not sent any more
                    _stream(process.stdin).close()
                if task is None:
                    continue
                seat.task = None
                failed = self._after_death(seat, task, message["code"], again)
                if failed is not None:
                    yield task, failed
                self._hand_out(coming, again)
            elif task is None:
                continue
            elif event == "started":
                seat.begun, self._false_starts = True, 0
                self.reporter.run_started(task.run)
            elif event == "epoch":
                self.reporter.epoch(task.run, message["epoch"], message["log"])
                if task.judged and judge is not None:
                    self._send(seat, json.dumps(judge(task, message["epoch"], message["log"])))
            elif event == "remark":
                self.reporter.remark(task.run, message["text"])
            elif event == "result":
                seat.task = None
                yield task, RESULTS.validate_python(message["result"])
                self._hand_out(coming, again)

    def leave(self, seconds: float) -> None:
        """Have every worker end after the epoch it is in, its run kept; one that takes longer is killed."""
        processes = [seat.process for seat in self._seats if seat.process is not None]
        for process in processes:
            process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + seconds
        for process in processes:
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        self.close()

    def close(self) -> None:
        """End every worker: one that is idle at once, one in a run as soon as that is left in good order."""
        processes = [seat.process for seat in self._seats if seat.process is not None]
        for process in processes:
            with suppress(OSError):
                _stream(process.stdin).close()
        for process in processes:
            try:
                process.wait(STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        for seat in self._seats:
            seat.process = seat.task = None

    def _hand_out(self, coming: Iterator[Task], again: deque[Task]) -> None:
        """Give every seat that is free a task while there are any, and a worker where it has none."""
        for seat in self._seats:
            if seat.task is not None:
                continue
            seat.task, seat.begun = again.popleft() if again else next(coming, None), False
            if seat.task is None:
                return
            if seat.process is None:
                self._start(seat)
            self._send(seat, seat.task.model_dump_json())

    def _send(self, seat: Seat, line: str) -> None:
        """Send a line to the seat's worker."""
        assert seat.process is not None
        with suppress(OSError):  # the worker is gone, which is about to be said
            stream = _stream(seat.process.stdin)
            stream.write(line + "\n")
            stream.flush()

    def _after_death(self, seat: Seat, task: Task, code: int, again: deque[Task]) -> Result | None:
        """What becomes of a task whose worker ended: it is tried again, or failed where it was the second time."""
        cause = self._exit_codes.cause(code)
        if not seat.begun:
            self._false_starts += 1
            if self._false_starts >= MOST_FALSE_STARTS:
                last = seat.last_lines[-1] if seat.last_lines else "it said nothing"
                raise UserError(f"no worker can be started: {cause}: {last}")
            again.append(task)
            return None
        self._deaths[task.run.key] += 1
        if self._deaths[task.run.key] == 1:
            self.reporter.remark(task.run, f"its worker ended ({cause}); the run is tried once more")
            again.append(task)
            return None
        self.tree.claims.clear(task.run.key)
        error = WorkerDiedError(f"its worker ended twice, the second time {cause}")
        error.add_note("\n".join(["the last that the worker said:", *seat.last_lines]))
        return file_failure(self.tree, task.run, error)

    def _start(self, seat: Seat) -> None:
        """Start a worker in a session of its own: an interrupt from the terminal is for this process alone."""
        setup = WorkerSetup(
            opening=self.workbench.opening,
            results=self.tree.root.absolute(),
            execution=self.execution,
            device=seat.device,
            threads=self.execution.threads or max(1, torch.get_num_threads() // len(self._seats)),
        )
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "petl_bench.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**worker_environment(setup.threads), "PYTHONPATH": paths},
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        seat.last_lines.clear()
        seat.process = process
        self._send(seat, setup.model_dump_json())
        threading.Thread(target=self._listen, args=(seat, process), daemon=True).start()

    def _listen(self, seat: Seat, process: subprocess.Popen[str]) -> None:
        """Pass on what a worker tells and says, and in the end that it is gone."""
        telling = threading.Thread(target=self._pass_on, args=(seat, process), daemon=True)
        saying = threading.Thread(target=self._overhear, args=(seat, process), daemon=True)
        telling.start()
        saying.start()
        code = process.wait()
        for thread in (telling, saying):
            thread.join(1)  # a child of the worker may hold the pipe open for ever
        self._events.put((seat, process, {"event": "gone", "code": code}))

    def _pass_on(self, seat: Seat, process: subprocess.Popen[str]) -> None:
        with _stream(process.stdout) as lines:
            for line in lines:
                with suppress(ValueError):  # a line that a dying worker did not finish
                    self._events.put((seat, process, json.loads(line)))

    def _overhear(self, seat: Seat, process: subprocess.Popen[str]) -> None:
        """Keep a worker's last lines and show them, but for the dump of one that crashes."""
        crashes = False
        with _stream(process.stderr) as lines:
            for line in map(str.rstrip, lines):
                seat.last_lines.append(line)
                crashes = crashes or line.startswith("Fatal Python error")
                if line and not crashes:
                    self._events.put((seat, process, {"event": "said", "text": line}))


def worker_environment(threads: int) -> dict[str, str]:
    """Environment of a worker that is to use so many threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


def _stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
