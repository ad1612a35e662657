"""A resident worker: a process that keeps backbone and features loaded and does the tasks that it is handed.

It is handed JSON lines on its standard input, first ``Orders``, then a ``Task`` each, and answers with JSON lines; of a
task that is judged it reads after every epoch whether to go on. What a method prints goes to standard error. Where its
input ends, the process that started it is gone: it stops.
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
from typing import Any, TextIO

import torch
from pydantic import BaseModel

from petl_bench.claims import SILENT_SECONDS
from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.results import ResultsTree
from petl_bench.training.session import StoppedError
from petl_bench.work import Task, take_up
from petl_bench.workbench import Opening, Workbench

STOPPING_SECONDS = 10.0
"""A worker that is to stop leaves what it does in good order, if that takes no longer."""


class Orders(BaseModel):
    """What a worker works with, and where to."""

    opening: Opening
    results: Path
    execution: Execution
    device: str
    threads: int


class Channel:
    """The line back to the process that started this one, and its answers."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.judged = False
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # what is printed from here on is for people

    def tell(self, event: str, **what: Any) -> None:
        self._out.write(json.dumps({"event": event, **what}) + "\n")
        self._out.flush()

    def epoch(self, epoch: int, log: dict[str, float]) -> None:
        self.tell("epoch", epoch=epoch, log=log)
        if not self.judged:
            return
        giving_up = threading.Timer(SILENT_SECONDS, os._exit, (1,))  # whoever would answer is paused: others may go on
        giving_up.daemon = True
        giving_up.start()
        answer = next(self.lines, None)
        giving_up.cancel()
        if answer is None:
            raise KeyboardInterrupt  # whoever would answer is gone
        if not json.loads(answer):
            raise StoppedError

    def remark(self, text: str) -> None:
        self.tell("remark", text=text)


def main() -> None:
    """Work until the input ends."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lines = _lines(_orders())
    channel = Channel(lines)
    try:
        orders = Orders.model_validate_json(next(lines))
        torch.set_num_threads(orders.threads)
        _work(orders, channel, lines)
    except UserError as error:
        channel.tell("mistake", text=str(error))
    except (StopIteration, KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(orders: Orders, channel: Channel, lines: Iterator[str]) -> None:
    workbench = Workbench.open(orders.opening, orders.device)
    tree = ResultsTree(orders.results)
    channel.tell("ready")
    for line in lines:
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
        result = take_up(task, workbench, tree, orders.execution, channel)
        channel.tell("result", result=result.model_dump(mode="json"))
        if not _is_sound(workbench.device):
            return


def _is_sound(device: torch.device) -> bool:
    """Whether the device still works: after some errors nothing runs on a GPU any more in the process that made one."""
    try:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    except RuntimeError:
        return False
    return True


def _orders() -> TextIO:
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
