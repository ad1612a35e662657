"""What ``leaderboard/`` shows is what its runs give today: pages from the committed rows, and no other run needed."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.studies import Command

PUBLISHED = Path(__file__).parents[2] / "leaderboard"
STUDIES = sorted(path.parent.name for path in (PUBLISHED / "studies").glob("*/README.md"))
OVERVIEW = (PUBLISHED / "README.md").read_text("utf-8")


def test_the_committed_runs_give_the_committed_leaderboard(command: Command, tmp_path: Path) -> None:
    results = shutil.copytree(PUBLISHED / "results", tmp_path / "results")
    code, out, err = command("leaderboard", "--results", str(results), "--out", str(tmp_path))
    assert code == 0, out + err
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.json", "leaderboard.tex", "leaderboard.html"):
        assert (tmp_path / name).read_text("utf-8") == (PUBLISHED / name).read_text("utf-8"), name


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_s_command_gives_its_page_and_trains_nothing(
    study: str, command: Command, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PUBLISHED / "studies" / study / "README.md"
    found = re.search(r"(?m)^Made by `petl-bench (.*)`\.$", page.read_text("utf-8"))
    assert found, page
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "esc10").symlink_to(shared_data / "ESC-10")
    monkeypatch.setenv("PETL_BENCH_DATA", str(tmp_path / "data"))
    studies = Path("leaderboard", "studies")
    shutil.copytree(PUBLISHED / "studies" / "results", tmp_path / studies / "results")
    monkeypatch.chdir(tmp_path)
    again = [*shlex.split(found[1]), "--results", str(studies / "results"), "--out", str(studies)]
    code, out, err = command(*again, "--plan")
    assert code == 0, out + err
    assert "all on record" in out
    code, out, err = command(*again)
    assert code == 0, out + err
    assert _runs(studies) == _runs(PUBLISHED / "studies")
    table = "trials.csv" if (page.parent / "trials.csv").is_file() else "rows.csv"
    for name in ("README.md", table):
        assert (studies / study / name).read_text("utf-8") == (page.parent / name).read_text("utf-8"), name


def _runs(studies: Path) -> set[Path]:
    root = studies / "results"
    return {path.relative_to(root) for path in root.rglob("run.json")}


@pytest.mark.parametrize("study", STUDIES)
def test_the_overview_links_every_study(study: str) -> None:
    assert f"](studies/{study}/README.md)" in OVERVIEW
