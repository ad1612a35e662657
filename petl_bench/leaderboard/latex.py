"""Reports of tables as LaTeX with booktabs: a table environment each, to be put into a paper."""

from __future__ import annotations

from collections.abc import Sequence

from petl_bench.leaderboard.names import visible
from petl_bench.leaderboard.pages import conditions, percent, plus_minus, published, thousands, title
from petl_bench.leaderboard.report import Data

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex(reports: Sequence[Data], problems: Sequence[str] = ()) -> str:
    """A table environment per report. What was left out is not in it."""
    head = r"% \usepackage[T1]{fontenc} and \usepackage{booktabs}; names beyond Latin letters: XeLaTeX or LuaLaTeX."
    return "\n".join([head, *map(_table, reports)])


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is, on one line."""
    return "".join(SPECIAL.get(character, character) for character in visible(text)) if text.strip() else ""


def _table(report: Data) -> str:
    letters = any(row["letters"] for row in report["rows"])
    literature = any(row["published"] for row in report["rows"])
    heads = ["Method", "Score, \\%", "$\\pm$95\\%", "Trained", "Share", "Runs"]
    heads += [""] * letters + ["Published"] * literature
    lines = [_row(row, letters, literature) for row in report["rows"]]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_caption(report, letters)}}}",
            rf"\label{{tab:{report['table']}}}",
            rf"\begin{{tabular}}{{l{'r' * 5}{'l' * letters}{'l' * literature}}}",
            r"\toprule",
            f"{' & '.join(heads)} \\\\",
            r"\midrule",
            *(f"{{}}{' & '.join(line)} \\\\" for line in lines),  # {}: a bracket or a star after \\\\ would be its own
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _row(row: Data, letters: bool, literature: bool) -> list[str]:
    name = escaped(row["method"])
    return [
        f"\\textbf{{{name}}}" if row["not_worse_than_best"] else name,
        percent(row["score"]),
        plus_minus(row),
        thousands(row["adapted_parameters"]),
        f"{100 * row['share']:.2f}\\%",
        f"{row['runs']}/{row['expected_runs']}",
        *([row["letters"]] if letters else []),
        *([escaped("; ".join(map(published, row["published"])))] if literature else []),
    ]


def _caption(report: Data, letters: bool) -> str:
    alike = "; rows that share a letter are not significantly different" if letters else ""
    marked = any(row["not_worse_than_best"] for row in report["rows"])
    tested = f" Bold: not significantly worse than the best{alike} (5%, Holm)." if marked else ""
    trained = "Trained: parameters but the head's."
    return escaped(f"{title(report)}: {conditions(report)} ±95%: interval of the training procedure. {trained}{tested}")
