"""Searches whose trials are in PostgreSQL: a real server on loopback, from the system's packages."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from petl_bench.claims import Claims
from petl_bench.results import ResultsTree
from petl_bench.sweeps.card import Search
from petl_bench.sweeps.search.ledger import AGAIN, Ledger, is_lost
from petl_bench.sweeps.search.storage import open_study, open_url
from petl_bench.sweeps.search.study import search
from tests.studies import IN_PROCESS
from tests.sweeps.search.searches import SearchLog, states, target_of
from tests.sweeps.search.test_ledger import SPACE, die, finish

pytestmark = pytest.mark.slow


def _binaries() -> Path:
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin")), Path("/usr/local/bin"), Path("/usr/bin")]
    found = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not found:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    return found[-1]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of this test's own, without a password, on a free port."""
    binaries = _binaries()
    pytest.importorskip("psycopg")
    as_user = {"user": "nobody"} if os.geteuid() == 0 else {}  # the server does not run as root
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        if as_user:
            shutil.chown(folder, **as_user)
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", "me", "-A", "trust", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **as_user,
        )  # fmt: skip
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **as_user,
        )  # fmt: skip
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            time.sleep(0.5)
            yield f"postgresql+psycopg://me@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # with clients connected too
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_lost_trial_is_tried_again(url: str, tmp_path: Path) -> None:
    def book() -> Ledger:
        study = open_study(open_url(url), "lost", ["maximize"])
        return Ledger(study, Search(), SPACE, Claims(tmp_path / ".claims"), 3)

    lost = book().ask()
    assert lost
    die(lost)
    again = book().ask()
    assert again
    assert again.trial.params == lost.trial.params
    assert again.trial.user_attrs[AGAIN] == lost.number
    finish(book(), again)
    while (going := book().ask()) is not None:
        finish(book(), going)
    trials = book().study.get_trials()
    assert [trial.state for trial in trials if not is_lost(trial)] == [TrialState.COMPLETE] * 3


def test_a_search_with_a_pruner_stops_and_goes_on(url: str, tmp_path: Path) -> None:
    tree, target = ResultsTree(tmp_path), target_of(trials=3, pruner="epoch:median")
    with pytest.raises(KeyboardInterrupt):
        search(target, open_url(url), tree, SearchLog(interrupt_after=3), IN_PROCESS)
    found = search(target, open_url(url), tree, SearchLog(), IN_PROCESS)
    assert states(found) == ["COMPLETE"] * 3
    assert sum(map(is_lost, found.study.get_trials())) == 1
    assert found.pooled
    assert all(trial.intermediate_values for trial in found.trials)
