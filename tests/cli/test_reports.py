"""compare, leaderboard, folds, plot and results on the command line."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.imports import slow_imports
from tests.leaderboard.trees import plant, study_of
from tests.studies import Command


def run_on_terminal(arguments: list[str], columns: int) -> str:
    """What a command shows on a terminal so wide."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(arguments, stdin=child, stdout=child, stderr=child, env={**os.environ, "TERM": "dumb"})
    os.close(child)
    parts = []
    with contextlib.suppress(OSError):  # how a closed terminal ends, on Linux
        while part := os.read(parent, 4096):
            parts.append(part)
    os.close(parent)
    assert process.wait() == 0
    return b"".join(parts).decode()


@pytest.fixture(autouse=True)
def _study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plant(Path("results"), *study_of({"linear": 0.4, "full": 0.8}))
    plant(Path("results"), *study_of({"linear": 0.4, "full": 0.7}, benchmark="esc10"))


def test_compare_prints_scores_differences_and_verdicts(command: Command) -> None:
    code, out, err = command("compare", "--margin", "5", "-v")
    assert (code, err) == (0, "")
    assert "synthetic, backbone mini, profile corrected" in out
    assert re.search(r"^full - linear +\+\d+\.\d\d +\+\d.* to \+\d.* better", out, re.MULTILINE)
    assert "within 5 points, declared beforehand" in out
    assert "over 2 data sets: esc10, synthetic" in out
    assert "no difference" not in out
    assert "\u2026" not in out
    assert re.search(r"^full - linear +\+[\d.]+\*? +\+[\d.]+\*?$", out, re.MULTILINE)


def test_compare_of_methods_that_are_not_through_shows_scores_alone(command: Command) -> None:
    plant(Path("begun"), *(run for run in study_of({"linear": 0.4, "full": 0.8}) if run.record.spec.fold < 3))
    code, out, err = command("compare", "--results", "begun")
    assert (code, err) == (0, "")
    assert "incomplete (2/5 folds), no rank and no test: full, linear" in out
    assert "verdict" not in out
    assert "p cons." not in out


def test_compare_as_json_has_everything(command: Command) -> None:
    code, out, _ = command("compare", "full", "--baseline", "linear", "--dataset", "synthetic", "--json")
    data = json.loads(out)
    assert code == 0
    (table,) = data["tables"]
    (row,) = table["comparisons"]
    assert (row["method"], row["reference"], row["test"]) == ("full", "linear", "two-way")
    assert {"p", "p_holm", "p_conservative", "sign_flip_p", "welch_p", "detectable_floor"} <= row.keys()
    assert data["over_datasets"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "fulll"], r"no runs of 'fulll' in results \(did you mean 'full'\?\); there are full, linear"),
        (["compare", "full"], "no table of results holds two methods under the same conditions"),
        (["compare", "--baseline", "lora"], "no runs of 'lora' in results"),
        (["compare", "--margin", "0"], "--margin 0: give points between 0 and 100"),
        (["compare", "--margin", "inf"], "--margin inf: give points between 0 and 100"),
        (["compare", "--backbone", "maxi"], r"--backbone maxi: no such runs in results \(did you mean 'mini'"),
        (["compare", "--profile", "published"], "--profile published: no such runs in results; there are corrected"),
        (["compare", "--dataset", "esc50"], "--dataset esc50: no such runs in results"),
        (["compare", "--results", "nowhere"], "--results nowhere: no such folder"),
        (["leaderboard", "--results", "nowhere"], "--results nowhere: no such folder"),
        (["folds", "lora"], "no runs of 'lora' in results"),
        (["folds", "full", "--dataset", "gsc"], "no runs of 'full' in results on gsc; there are no runs"),
        (["plot", "convergence", "lora"], "no runs of 'lora'"),
        (["plot", "scatter", "lora"], "'scatter' is not"),
        (["plot", "runs", "--baseline", "full"], "plot runs takes neither --baseline nor --margin"),
        (["plot", "differences", "--margin", "200"], "--margin 200: give points between 0 and 100"),
        (["plot", "differences", "full", "--dataset", "esc10"], "nothing to draw in results: esc10, .*no two complete"),
        (
            ["plot", "runs", "--dataset", "esc11"],
            r"--dataset esc11: no runs \(did you mean 'esc10'\?\); there are esc10, s",
        ),
        (["leaderboard", "--format", "csv", "--html"], "--format csv prints: leave it out where --html or --out"),
        (["results", "merge"], "name the trees to copy from"),
        (["results", "merge", "nowhere"], "results merge nowhere: no such folder"),
        (["results", "prune", "--results", "nowhere"], "--results nowhere: no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command: Command, arguments: list[str], message: str) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(message, err)


def test_leaderboard_prints_or_writes(command: Command) -> None:
    code, out, _ = command("leaderboard", "--out", "pages")
    forms = ("md", "csv", "json", "tex", "html")
    assert (code, out.splitlines()[:-1]) == (0, [f"pages/leaderboard.{suffix}" for suffix in forms])
    assert out.splitlines()[-1] == f"next: open {Path('pages/leaderboard.html').resolve().as_uri()} in a browser"
    for form in forms:
        assert command("leaderboard", "--format", form)[1] == Path(f"pages/leaderboard.{form}").read_text("utf-8")
    assert "## synthetic, backbone mini, profile corrected" in Path("pages/leaderboard.md").read_text("utf-8")
    assert json.loads(command("leaderboard", "--format", "json")[1])["tables"][0]["benchmark"] == "esc10"


def test_leaderboard_html_is_the_page_alone(command: Command) -> None:
    code, out, _ = command("leaderboard", "--html")
    assert (code, out.splitlines()[0]) == (0, "leaderboard.html")
    assert command("leaderboard", "--html", "--out", "site")[0] == 0
    assert [path.name for path in Path("site").iterdir()] == ["leaderboard.html"]
    assert Path("site/leaderboard.html").read_bytes() == Path("leaderboard.html").read_bytes()


def test_leaderboard_on_a_terminal(command: Command) -> None:
    code, out, _ = command("leaderboard")
    assert code == 0
    assert "synthetic, backbone mini, profile corrected\naccuracy on 200 test clips of 100 sources" in out
    assert re.search(r"^full +\d+\.\d\d +\d+\.\d\d +a? +256 ◆ +0\.02% +\d+\.\d +15/15$", out, re.MULTILINE)
    assert out.splitlines()[-2:] == ["next: petl-bench compare", "next: petl-bench leaderboard --html"]


def test_leaderboard_prints_what_it_writes_on_a_terminal_of_few_letters(command: Command) -> None:
    command("leaderboard", "--html")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    arguments = [sys.executable, "-m", "petl_bench", "leaderboard", "--format", "html"]
    assert subprocess.check_output(arguments, env=environment) == Path("leaderboard.html").read_bytes()


@pytest.mark.parametrize(
    "verb", [["leaderboard"], ["compare", "-v", "--margin", "2"], ["folds", "full"], ["ls"], ["ls", "runs"], ["--help"]]
)
def test_what_is_printed_fits_eighty_columns(verb: list[str]) -> None:
    """On a terminal; lines without a space, as file names, may be longer."""
    shown = run_on_terminal([sys.executable, "-m", "petl_bench", *verb], columns=80)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert len(lines) > 5
    assert [line for line in lines if len(line) > 80] == []


def test_folds_prints_the_table_of_papers(command: Command) -> None:
    _, sample, _ = command("folds", "full", "--dataset", "synthetic")
    _, paper, _ = command("folds", "full", "--dataset", "synthetic", "--paper-std")
    deviation = [float(re.search(r"^sd \(\d\) .* ([\d.]+)$", text, re.MULTILINE)[1]) for text in (sample, paper)]  # type: ignore[index]
    assert deviation[1] == pytest.approx(deviation[0] * (4 / 5) ** 0.5, abs=0.02)
    data = json.loads(command("folds", "full", "--json")[1])
    assert [line["fold"] for line in data[0]["folds"]] == [1, 2, 3, 4, 5]


def test_folds_of_epochs_without_the_headline_metric_are_one_line(command: Command) -> None:
    for path in Path("results").glob("*/*/full/*/epochs.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        kept = ("epoch", "train_loss", "validation_accuracy")
        path.write_text("".join(json.dumps({name: line[name] for name in kept}) + "\n" for line in lines))
    assert command("folds", "full")[0] == 0
    for path in Path("results").glob("*/*/full/*/run.json"):
        record = json.loads(path.read_text())
        record["spec"]["data"]["metric"] = "macro_f1"
        path.write_text(json.dumps(record))
    code, _, err = command("folds", "full")
    assert code == 2
    assert err.rstrip().endswith(
        "epochs without numbers for epoch, train_loss, validation_accuracy, validation_macro_f1"
    )


def test_plot_draws_png_and_svg_that_repeat(command: Command) -> None:
    code, out, _ = command("plot", "convergence", "full", "linear", "--dataset", "synthetic")
    paths = [Path(line) for line in out.split()]
    assert (code, [path.suffix for path in paths]) == (0, [".png", ".svg"])
    before = [path.read_bytes() for path in paths]
    command("plot", "convergence", "full", "linear", "--dataset", "synthetic")
    assert [path.read_bytes() for path in paths] == before
    assert before[0].startswith(b"\x89PNG")
    assert all(f"fold {fold}".encode() in before[1] for fold in range(1, 6))


@pytest.mark.parametrize("kind", ["parameters", "differences", "runs", "confusion"])
def test_plot_draws_every_table(command: Command, kind: str) -> None:
    code, out, _ = command("plot", kind)
    assert code == 0
    benchmarks = {path.split("-")[1] for path in out.splitlines()}
    assert benchmarks == {"synthetic", "esc10"}
    assert all(Path(path).stat().st_size > 1000 for path in out.splitlines())


def test_figures_that_cannot_be_written_are_said_to_be_so(command: Command) -> None:
    Path("figures").write_text("a file")
    code, _, err = command("plot", "differences")
    assert code == 2
    assert err.startswith("petl-bench: --out figures: cannot be written to")


def test_plot_leaves_out_a_table_that_cannot_be_drawn(command: Command) -> None:
    plant(Path("results"), *study_of({"linear": 0.4}, benchmark="gsc"))
    code, out, err = command("plot", "differences")
    assert (code, len(out.splitlines())) == (0, 4)
    assert err == "petl-bench: left out: gsc, backbone mini, profile corrected: no two complete methods to compare\n"


def test_figures_of_long_and_alike_names_have_files_of_their_own(command: Command) -> None:
    names = [f"lora {'x' * 150} {sign} \x1b[31mred" for sign in "&%$"]
    plant(Path("odd"), *study_of(dict.fromkeys(names, 0.5), clips=10, seeds=1))
    code, out, err = command("plot", "confusion", "--results", "odd")
    assert (code, err, len(set(out.splitlines()))) == (0, "", 6)
    for path in out.splitlines():
        if path.endswith(".svg"):
            ElementTree.parse(path)


def test_results_merges(command: Command) -> None:
    code, out, _ = command("results", "merge", "results", "--results", "copy", "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "60 changes would be made")
    assert command("results", "merge", "results", "--results", "copy")[1].endswith("60 changes\n")
    assert command("results", "prune", "--results", "copy")[1] == "0 changes\n"
    assert command("results", "migrate", "--results", "copy")[1] == "0 changes\n"
    assert command("leaderboard", "--results", "copy")[1].replace(" --results copy", "") == command("leaderboard")[1]


REPORTS = [["compare"], ["leaderboard"], ["folds", "full"], ["plot", "convergence", "full"], ["plot", "runs"]]


def test_reports_import_nothing_slow() -> None:
    assert slow_imports(REPORTS) == {" ".join(verb): [] for verb in REPORTS}
