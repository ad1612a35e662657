"""Cards in which anything may stand: read, or refused in one line that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from petl_bench.card_files import CardFile, built_in_folder, read_card
from petl_bench.cards import BenchmarkCard
from petl_bench.cli.validate import _check
from petl_bench.plan import Request, choose
from petl_bench.sweeps.card import SweepCard
from petl_bench.sweeps.grid import Options, points, quick
from tests.fuzz.mutations import LONG, mutants, survive

COUNTS = [100, pytest.param(LONG, marks=pytest.mark.exhaustive)]
SECONDS = 10.0


def seeds_of(kind: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(built_in_folder(kind).glob("*.toml"))]  # type: ignore[arg-type]


def local(kind: str, name: str = "mine") -> CardFile:
    path = Path(kind) / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    return CardFile(name, kind, path, local=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", COUNTS)
def test_method_cards(count: int) -> None:
    file = local("methods")

    def parse(data: bytes) -> None:
        file.path.write_bytes(data)
        _check(file)
        choose(Request((str(file.path),), "synthetic", backbone="mini"))

    found = survive(parse, mutants(seeds_of("methods"), count, 1), SECONDS)
    assert min(found.accepted, found.refused) > count / 20


@pytest.mark.parametrize("count", COUNTS)
def test_benchmark_cards(count: int) -> None:
    file = local("benchmarks")

    def parse(data: bytes) -> None:
        file.path.write_bytes(data)
        read_card(file, BenchmarkCard)
        _check(file)
        choose(Request(("linear",), str(file.path)))

    found = survive(parse, mutants(seeds_of("benchmarks"), count, 2), SECONDS)
    assert min(found.accepted, found.refused) > count / 20


@pytest.mark.parametrize("count", COUNTS)
def test_sweep_cards(count: int) -> None:
    file = local("sweeps")

    def parse(data: bytes) -> None:
        file.path.write_bytes(data)
        card = read_card(file, SweepCard)
        for version, options in ((card, Options()), quick(card, Options())):
            points(version, options)

    found = survive(parse, mutants(seeds_of("sweeps"), count, 3), SECONDS)
    assert min(found.accepted, found.refused) > count / 20


def test_a_grid_of_more_combinations_than_anyone_can_train_is_refused() -> None:
    file = local("sweeps")
    levels = ", ".join(map(str, range(1, 101)))
    names = ("reduction_rate", "kernel_size", "batch_size", "epochs", "shots")
    grid = "\n".join(f"{name} = [{levels}]" for name in names)

    def parse(data: bytes) -> None:
        file.path.write_bytes(data)
        points(read_card(file, SweepCard), Options())

    text = f'title = "x"\nbenchmarks = ["synthetic"]\nmethods = ["conformer"]\n[grid]\n{grid}\n'
    assert survive(parse, [text.encode()], SECONDS).refused == 1
