"""A call in a process of its own, whose memory is its own and whose end takes nothing else with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from petl_bench.errors import UserError, one_line
from petl_bench.exit_codes import ExitCodes

Result = TypeVar("Result")


class FailedApartError(RuntimeError):
    """Why a call has no result, in one line."""


def apart(function: Callable[..., Result], *arguments: object) -> Result:
    """``function(*arguments)``, called in a fresh process; function, arguments and result are pickled.

    What is printed there goes to standard error. Raises FailedApartError where the call raised or its process ended.
    """
    processes, exit_codes = get_context("spawn"), ExitCodes()
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=_call, args=(there, function, arguments), daemon=True)
    process.start()
    there.close()
    try:
        result, error = here.recv()
    except EOFError:
        process.join()
        raise FailedApartError(f"its process ended {exit_codes.cause(process.exitcode or 0)}") from None
    finally:
        here.close()
        process.kill()
        process.join()
    if error:
        raise FailedApartError(error)
    answer: Result = result
    return answer


def _call(there: Connection, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits stops this one
    os.dup2(2, 1)
    try:
        answer = function(*arguments), ""
    except UserError as error:
        answer = None, str(error)
    except Exception as error:
        answer = None, one_line(error)
    there.send(answer)
