"""A resident worker: a process that keeps backbone and features loaded and does the tasks that it is handed.

It is handed JSON lines on its standard input, first a ``WorkerSetup``, then a ``Task`` each, and answers with JSON
lines; of a task that is judged it reads after every epoch whether to go on. What a method prints goes to standard
error. Where its input ends, the process that started it is gone: it stops. At one of ``LEAVE_SIGNALS`` it leaves: a run
that is under way is kept after the epoch it is in, and the process ends.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any, TextIO

import torch
from pydantic import BaseModel

from petl_bench.claims import SILENT_SECONDS
from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.results import ResultsTree
from petl_bench.training.session import LeavingError, StoppedError
from petl_bench.work import Task, take_up
from petl_bench.workbench import Opening, Workbench

LEAVE_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
"""What a machine that wants its processor back sends; SLURM sends SIGUSR2 before a time limit."""
STOPPING_SECONDS = 10.0
"""A worker that is to stop leaves what it does in good order, if that takes no longer."""


class WorkerSetup(BaseModel):
    """What a worker works with, and where to."""

    opening: Opening
    results: Path
    execution: Execution
    device: str
    threads: int


class Leaving:
    """Handler of the signals to leave: at once where there is nothing in hand, else noted until an epoch has ended."""

    def __init__(self) -> None:
        self.in_hand = False
        self.asked_by: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked_by = number
        self.leave_if_idle()

    def leave_if_idle(self) -> None:
        """Raises LeavingError where that was asked for and nothing is in hand."""
        if self.asked_by is not None and not self.in_hand:
            raise LeavingError


class Channel:
    """The line back to the process that started this one, and its answers."""

    def __init__(self, lines: Iterator[str], leaving: Leaving) -> None:
        self.lines = lines
        self.leaving = leaving
        self.judged = False
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # what is printed from here on is for people

    def tell(self, event: str, **what: Any) -> None:
        self._out.write(json.dumps({"event": event, **what}) + "\n")
        self._out.flush()

    def epoch(self, epoch: int, log: dict[str, float]) -> None:
        self.tell("epoch", epoch=epoch, log=log)
        if self.judged:
            self._hear()
        if self.leaving.asked_by is not None:
            raise LeavingError

    def remark(self, text: str) -> None:
        self.tell("remark", text=text)

    def _hear(self) -> None:
        """The judge's answer."""
        giving_up = threading.Timer(SILENT_SECONDS, os._exit, (1,))  # whoever would answer is paused: others may go on
        giving_up.daemon = True
        giving_up.start()
        answer = next(self.lines, None)
        giving_up.cancel()
        if answer is None:
            raise KeyboardInterrupt  # whoever would answer is gone
        if not json.loads(answer):
            raise StoppedError


def main() -> None:
    """Work until the input ends."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    leaving = Leaving()
    for number in LEAVE_SIGNALS:
        signal.signal(number, leaving)
    lines = _lines(_input())
    channel = Channel(lines, leaving)
    try:
        setup = WorkerSetup.model_validate_json(next(lines))
        torch.set_num_threads(setup.threads)
        _work(setup, channel, lines)
    except UserError as error:
        channel.tell("mistake", text=str(error))
    except (StopIteration, KeyboardInterrupt, BrokenPipeError, LeavingError):
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if leaving.asked_by is not None:  # whoever waits for this process is told what ended it
        signal.signal(leaving.asked_by, signal.SIG_DFL)
        os.kill(os.getpid(), leaving.asked_by)


def _work(setup: WorkerSetup, channel: Channel, lines: Iterator[str]) -> None:
    workbench = Workbench.open(setup.opening, setup.device)
    tree = ResultsTree(setup.results)
    for line in lines:
        channel.leaving.in_hand = True
        task = Task.model_validate_json(line)
        spec = task.run.spec
        if (spec.data.fingerprint, spec.backbone) != (
            workbench.dataset.fingerprint,
            workbench.source.description.fingerprint,
        ):
            raise UserError("the data set or the backbone changed while runs were trained on it; start again")
        workbench.backbone(spec)
        channel.judged = task.judged
        channel.tell("started")
        result = take_up(task, workbench, tree, setup.execution, channel)
        channel.tell("result", result=result.model_dump(mode="json"))
        if not _is_sound(workbench.device):
            return
        channel.leaving.in_hand = False
        channel.leaving.leave_if_idle()


def _is_sound(device: torch.device) -> bool:
    """Whether the device still works: after some errors nothing runs on a GPU any more in the process that made one."""
    try:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    except RuntimeError:
        return False
    return True


def _input() -> TextIO:
    """The pipe that tasks come by, out of the reach of methods and of the processes that they start."""
    source = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return source


def _lines(source: TextIO) -> Iterator[str]:
    """Lines as they come. Where they end in the middle of a task, the main thread is interrupted."""
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(source, lines), daemon=True).start()
    while line := lines.get():
        yield line


def _read(source: TextIO, lines: SimpleQueue[str]) -> None:
    for line in source:
        lines.put(line)
    lines.put("")
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    time.sleep(STOPPING_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
