"""The README's commands are run as they stand there, but for fewer epochs and seeds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.scaffold.test_init import audio
from tests.studies import Command

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
COMMANDS = [line.partition(" #")[0].strip() for line in README.splitlines() if line.startswith("    petl-bench ")]
QUICK = {"--epochs 10 --seeds 0-2": "--epochs 1 --executor in_process"}


def arguments(line: str) -> list[str]:
    for long, short in QUICK.items():
        line = line.replace(long, short)
    return shlex.split(line)[1:]


def test_somebodys_own_sounds_go_all_the_way_to_a_page(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio(tmp_path / "path" / "to" / "audio", clips=15, seconds=0.4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PETL_BENCH_DATA", raising=False)
    path = [line for line in COMMANDS if "bird-calls" in line or line.endswith("--html")]
    assert len(path) == 5
    for line in path:
        code, out, err = command(*arguments(line))
        assert code == 0, f"{line}\n{out}{err}"
        if " init " in line:
            monkeypatch.chdir(tmp_path / "bird-calls")
    assert Path("leaderboard.html").is_file()
    assert command("check", "rescale")[0] == 0


def test_other_commands_are_known_and_ask_for_nothing_but_data(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PETL_BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    others = [line for line in COMMANDS if "bird-calls" not in line and not line.endswith("--html")]
    assert len(others) >= 3
    for line in others:
        code, out, err = command(*arguments(line))
        assert code == 0 or "data get" in err, f"{line}\n{out}{err}"


def test_every_verb_in_the_table_exists(command: Command) -> None:
    verbs = {
        name.split()[0]
        for cell in re.findall(r"(?m)^\| (`[^|]+) \|", README)
        for name in re.findall(r"`([^`]+)`", cell)
    }
    for verb in sorted(verbs - {"--track"}):
        assert command(verb, "--help")[0] == 0, verb
