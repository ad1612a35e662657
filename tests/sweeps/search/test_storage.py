"""The journal of trials: writers that die in the middle of a line, and files that are no journal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from petl_bench.errors import UserError
from petl_bench.sweeps.search.storage import drop_torn_line, open_journal, open_study, open_url


def trials_of(path: Path) -> list[float]:
    study = open_study(open_journal(path), "s", ["maximize"])
    return [trial.values[0] for trial in study.get_trials() if trial.values]


def test_a_torn_last_line_is_dropped_when_the_journal_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    study = open_study(open_journal(path), "s", ["maximize"])
    study.tell(study.ask(), 0.5)
    whole = path.read_bytes()
    for cut in (1, len(whole.splitlines(keepends=True)[-1]) - 1):
        path.write_bytes(whole + whole.splitlines(keepends=True)[-1][:-cut])
        assert trials_of(path) == [0.5]
        assert path.read_bytes() == whole


def test_a_line_that_another_writer_left_unfinished_is_dropped_before_the_next_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    study = open_study(open_journal(path), "s", ["maximize"])
    study.tell(study.ask(), 0.5)
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    study.tell(study.ask(), 0.7)
    assert trials_of(path) == [0.5, 0.7]
    assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize(("before", "after"), [(b"", b""), (b"torn", b""), (b"a\n", b"a\n"), (b"a\nb", b"a\n")])
def test_what_stands_behind_the_last_line_end_is_cut(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(before)
    drop_torn_line(path)
    assert path.read_bytes() == after


def test_a_long_torn_line_is_cut_too(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"whole\n" + b"x" * 200_000)
    drop_torn_line(path)
    assert path.read_bytes() == b"whole\n"


def test_the_journal_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = open_study(open_journal(Path("a.journal")), "s", ["maximize"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    study.tell(study.ask(), 0.5)
    assert trials_of(tmp_path / "a.journal") == [0.5]
    assert not (tmp_path / "elsewhere" / "a.journal").exists()


def test_a_file_that_is_no_journal_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    for text in ("not json\n" * 2, '{"op_code": 99}\n', "[]\n"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"a\.journal: not a readable journal of trials .*; move it away") as error:
            open_study(open_journal(path), "s", ["maximize"])
        assert "\n" not in str(error.value)
        assert path.read_text() == text


def test_a_storage_that_cannot_be_opened_is_one_line_without_its_password() -> None:
    for url in ("nonsense", "postgresql://me:secret@127.0.0.1:1/none", "mysql+nodriver://me:secret@127.0.0.1/x"):
        with pytest.raises(UserError, match="--storage") as error:
            open_url(url)
        assert "secret" not in str(error.value)
        assert "\n" not in str(error.value)


def test_optunas_own_tools_open_the_journal_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    study = open_study(open_journal(path), "s", ["maximize"])
    study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 0.5)
    listed = subprocess.run(
        [Path(sys.executable).with_name("optuna"), "--storage", str(path), "--storage-class", "JournalFileBackend",
         "best-trial", "--study-name", "s", "-f", "json"], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert json.loads(listed.stdout)["value"] == 0.5
