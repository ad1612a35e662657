"""The fuzzer itself: it repeats itself, it changes what it is given, and it notices what it is there to notice."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from petl_bench.errors import UserError
from tests.fuzz.mutations import Survival, mutants, survive

SEEDS = [b"path,label\na.wav,dog\n", bytes(range(256))]


def test_mutants_are_the_same_from_the_same_seed() -> None:
    first = list(mutants(SEEDS, 200, seed=1))
    assert first[:2] == SEEDS
    assert list(mutants(SEEDS, 200, seed=1)) == first
    assert list(mutants(SEEDS, 200, seed=2)) != first
    assert len(set(first)) > 180
    assert min(map(len, first)) < 20
    assert list(mutants([b""], 50, seed=1))[:1] == [b""]


def test_a_parser_may_accept_or_refuse_in_one_line() -> None:
    def parse(data: bytes) -> None:
        if data:
            raise UserError("no")

    assert survive(parse, [b"", b"x", b"y"], 1) == Survival(accepted=1, refused=2)


@pytest.mark.parametrize("error", [ValueError("no"), UserError("two\nlines"), UserError("long " * 1000), KeyError()])
def test_another_exception_is_a_failure_that_names_the_input(error: Exception) -> None:
    def parse(data: bytes) -> None:
        if data == b"bad":
            raise error

    with pytest.raises(AssertionError, match="input 1, b'bad'"):
        survive(parse, [b"good", b"bad"], 1)


def test_a_hang_is_a_failure() -> None:
    def parse(data: bytes) -> None:
        while True:
            with suppress(Exception):
                time.sleep(0.001)

    with pytest.raises(AssertionError, match="Hang"):
        survive(parse, [b"x"], 0.05)
