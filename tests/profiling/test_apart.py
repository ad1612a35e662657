"""Calls in processes of their own: results, and every way to have none."""

from __future__ import annotations

import os
import signal

import pytest

from petl_bench.errors import UserError
from petl_bench.profiling.apart import FailedApartError, apart


def process_of(*words: str) -> tuple[int, str]:
    print("not for standard output")
    return os.getpid(), " ".join(words)


def refuse(message: str) -> None:
    raise UserError(message)


def fail(message: str) -> None:
    raise ValueError(message)


def leave(code: int) -> None:
    os._exit(code)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_result_comes_back_and_what_is_printed_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    process, words = apart(process_of, "a", "b")
    assert process != os.getpid()
    assert words == "a b"
    assert capfd.readouterr() == ("", "not for standard output\n")


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (refuse, ("give less",), "^give less$"),
        (fail, ("no\nway",), "^ValueError: no way$"),
        (leave, (7,), "^its process ended with exit code 7$"),
        (be_killed, (), "^its process ended by SIGKILL"),
    ],
)
def test_a_call_without_a_result_says_why(function: object, arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(FailedApartError, match=message):
        apart(function, *arguments)  # type: ignore[arg-type]
