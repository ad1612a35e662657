"""LaTeX tables: rows and marks of the report, and names that stay names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.latex import escaped, latex
from tests.leaderboard.trees import plant, study_of

ODD = r'a_b 100% \input{x} $y^2$ #1 & {c} ~ <b> | "q"'


def test_specials_are_escaped() -> None:
    assert escaped("a_b\n100%") == r"a\_b 100\%"
    assert escaped(r"\input{x}") == r"\textbackslash{}input\{x\}"
    assert escaped("$y^2$ #1 &") == r"\$y\textasciicircum{}2\$ \#1 \&"


def test_a_table_per_report(tmp_path: Path) -> None:
    plant(tmp_path, *study_of({"linear": 0.3, ODD: 0.9}))
    plant(tmp_path, *study_of({"linear": 0.3}, benchmark="esc10"))
    text = latex(board(tmp_path)[0])
    assert text.count(r"\begin{table}") == text.count(r"\bottomrule") == 2
    assert rf"\textbf{{{escaped(ODD)}}} & " in text
    assert text.count("\n{}") == 3
    assert all(line.count(" & ") in (5, 6) for line in text.splitlines() if line.endswith(r"\\"))


def test_it_can_be_typeset(tmp_path: Path) -> None:
    if (
        shutil.which("pdflatex") is None
        or subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode
    ):
        pytest.skip("no pdflatex with booktabs is installed (Debian: texlive-latex-recommended)")
    plant(tmp_path / "results", *study_of({"[bold]": 0.3, "*star": 0.4, ODD: 0.9}))
    (tmp_path / "tables.tex").write_text(latex(board(tmp_path / "results")[0]), "utf-8")
    page = r"\documentclass{article}\usepackage{booktabs}\usepackage[T1]{fontenc}\begin{document}\input{tables}\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
