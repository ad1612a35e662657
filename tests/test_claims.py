"""Claims: one owner at a time, taken over from owners that are gone, and only from those."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from petl_bench.claims import SILENT_SECONDS, Claim, Claims, Owner

HOLD = """
import sys, time
from pathlib import Path
from petl_bench.claims import Claim, Claims
taken = Claims(Path(sys.argv[1])).take("run")
print(type(taken).__name__, flush=True)
time.sleep(60)
"""
CONTEND = """
import sys
from pathlib import Path
from petl_bench.claims import Claim, Claims
claims = Claims(Path(sys.argv[1]))
sys.stdin.readline()
held = [name for name in sys.argv[2].split(",") if isinstance(claims.take(name), Claim)]
print(",".join(held), flush=True)
sys.stdin.readline()
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=pipe, stdout=pipe, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims")


def held(claims: Claims, name: str = "run") -> Claim:
    taken = claims.take(name)
    assert isinstance(taken, Claim)
    return taken


def test_a_claim_is_held_until_it_is_released(claims: Claims) -> None:
    with held(claims):
        owner = claims.take("run")
        assert owner == claims.owner("run") == Owner.this()
        assert str(owner).startswith(f"process {os.getpid()} on ")
        assert isinstance(claims.take("other"), Claim)
    assert claims.owner("run") is None
    held(claims).release()
    assert [path.name for path in claims.folder.iterdir()] == ["other.1"]


def test_of_many_that_start_at_once_one_gets_each_claim(claims: Claims) -> None:
    names = [f"run{number}" for number in range(30)]
    processes = [start(CONTEND, str(claims.folder), ",".join(names)) for _ in range(4)]
    for process in processes:
        tell(process)
    got = [line(process).split(",") for process in processes]
    for process in processes:
        tell(process)
        process.wait()
    assert sorted(name for its in got for name in its if name) == sorted(names)


def test_threads_of_one_process_do_not_share_a_claim(claims: Claims) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: claims.take("run"), range(8)))
    assert sum(isinstance(one, Claim) for one in taken) == 1


def test_the_claim_of_a_killed_process_is_taken_over_at_once(claims: Claims) -> None:
    process = start(HOLD, str(claims.folder))
    assert line(process) == "Claim"
    owner = claims.owner("run")
    assert owner is not None
    assert owner.pid == process.pid
    process.kill()
    while Path(f"/proc/{process.pid}/stat").exists() and claims.owner("run"):
        time.sleep(0.01)
    assert claims.owner("run") is None  # it is a zombie until it is waited for
    taken = held(claims)
    process.wait()
    assert taken.generation == 2
    taken.release()
    assert list(claims.folder.iterdir()) == []


def silence(claims: Claims, seconds: float) -> None:
    """As if the owner had not touched its claim for so long."""
    (path,) = claims.folder.glob("run.*")
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_an_owner_that_is_silent_is_taken_over(claims: Claims) -> None:
    paused = held(claims)
    silence(claims, SILENT_SECONDS - 30)
    assert claims.owner("run") == Owner.this()
    silence(claims, 60)
    assert claims.owner("run") is None
    other = held(claims)
    assert claims.owner("run") is not None
    paused.release()  # it wakes, and gives up what is its own, not what was taken over
    assert claims.owner("run") is not None
    other.release()
    assert claims.owner("run") is None


def test_an_owner_touches_its_claim(claims: Claims) -> None:
    claims = Claims(claims.folder, beat=0.01)
    with held(claims):
        silence(claims, 10 * SILENT_SECONDS)
        before = time.monotonic()
        while claims.owner("run") is None and time.monotonic() < before + 30:
            time.sleep(0.01)
        assert claims.owner("run") is not None


def test_a_paused_process_is_not_gone_at_once(claims: Claims) -> None:
    process = start(HOLD, str(claims.folder))
    assert line(process) == "Claim"
    process.send_signal(signal.SIGSTOP)
    try:
        assert claims.owner("run") is not None
        silence(claims, 2 * SILENT_SECONDS)
        assert claims.owner("run") is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": "x"}', '{"host":1,"pid":"x","machine":2,"began":3}'])
def test_a_claim_that_is_not_whole_counts_until_it_is_silent(claims: Claims, content: str) -> None:
    claims.folder.mkdir()
    (claims.folder / "run.1").write_text(content)
    assert claims.owner("run") is not None
    silence(claims, 2 * SILENT_SECONDS)
    assert held(claims).generation == 2


def test_of_another_machine_only_the_beat_is_known(claims: Claims) -> None:
    """Its process numbers mean nothing here."""
    claims.folder.mkdir()
    elsewhere = replace(Owner.this(), host="elsewhere", machine="elsewhere 1", pid=2**22 - 1, began="1")
    (claims.folder / "run.1").write_text(json.dumps(vars(elsewhere)))
    assert claims.owner("run") == elsewhere
    silence(claims, 2 * SILENT_SECONDS)
    assert claims.owner("run") is None


def test_a_process_number_that_was_given_away_again_is_another_process(claims: Claims) -> None:
    claims.folder.mkdir()
    (claims.folder / "run.1").write_text(json.dumps(vars(replace(Owner.this(), began="0"))))
    assert claims.owner("run") is None


def test_what_nobody_holds_is_left_over(claims: Claims) -> None:
    claims.folder.mkdir()
    (claims.folder / "gone.1").write_text(json.dumps(vars(replace(Owner.this(), began="0"))))
    with held(claims):
        assert [path.name for path in claims.left_over()] == ["gone.1"]


def test_an_owner_that_wakes_leaves_the_next_owner_s_claim_alone(claims: Claims) -> None:
    """It was taken over, released and taken anew under the same name meanwhile."""
    slept = held(claims)
    path = claims.folder / "run.1"
    other = {**json.loads(path.read_text()), "pid": os.getpid() + 1, "machine": "another", "host": "far"}
    path.write_text(json.dumps(other))
    os.utime(path)
    slept.release()
    assert path.is_file()
    assert str(claims.owner("run")) == f"process {os.getpid() + 1} on far"


def test_a_claim_from_the_future_is_silent(claims: Claims) -> None:
    held(claims)
    path = claims.folder / "run.1"
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": "another"}))
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    assert claims.owner("run") is None


def test_what_a_dead_owner_left_is_cleared_and_what_a_living_one_has_is_not(claims: Claims) -> None:
    claim = held(claims)
    claims.clear("run")
    assert claims.owner("run") is not None
    path = claims.folder / "run.1"
    path.write_text(json.dumps({**json.loads(path.read_text()), "began": "1"}))
    claims.clear("run")
    assert not path.exists()
    claim.release()
