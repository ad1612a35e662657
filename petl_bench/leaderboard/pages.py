"""Reports of tables as Markdown, CSV and JSON. Names from outside are escaped."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

from tabulate import tabulate

from petl_bench.leaderboard.names import visible
from petl_bench.leaderboard.report import Data
from petl_bench.profiling.wording import COSTS, READING, measured_on
from petl_bench.switches import Switches, describe_switches
from petl_bench.wording import count

ROLES = ("adapter", "bias", "norm", "backbone", "head")
INTRODUCTION = """# Leaderboard

Scores are percent of the test clips, ±95% the interval of the training procedure on data like this (fold and seed sd
are spread, not uncertainty). Rows marked † are not significantly worse than the best at 5%, after Holm over all pairs:
as good, or too uncertain to tell. Tables of other clips, backbone, recipe or switches are other tables: their rows do
not compare.
"""


def markdown(reports: Sequence[Data], problems: Sequence[str] = ()) -> str:
    """The page: one section per table, and what was left out."""
    sections = [_section(report) for report in reports] or ["No runs yet.\n"]
    if problems:
        sections.append("\n".join(["## Left out", "", *(f"- {escaped(problem)}" for problem in problems)]) + "\n")
    return "\n".join([INTRODUCTION, *sections])


def csv_text(reports: Sequence[Data], problems: Sequence[str] = ()) -> str:
    """One line per row of any table; scores are fractions. What was left out is not in it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in flat_rows(reports):
        formula = row["method"].startswith(("=", "+", "-", "@"))
        writer.writerow({**row, "method": f"'{row['method']}" if formula else row["method"]})
    return text.getvalue()


def flat_rows(reports: Sequence[Data]) -> list[Data]:
    """All rows of all tables under CSV_COLUMNS, lists as text."""
    flat = (_flat_row(report, row) for report in reports for row in report["rows"])
    return [{column: row[column] for column in CSV_COLUMNS} for row in flat]


def json_text(reports: Sequence[Data], problems: Sequence[str] = ()) -> str:
    """The reports as they are."""
    page = {"tables": list(reports), "left_out": list(problems)}
    return json.dumps(page, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line and in one cell."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&$@])", r"\\\1", visible(text)) if text.strip() else ""


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def p_value(value: float | None) -> str:
    """Four digits, or that it is less."""
    if value is None:
        return "-"
    return "<.0001" if value < 1e-4 else f"{value:.4f}"


def plus_minus(row: Data) -> str:
    """Half a symmetric interval, or both ends of one that is not."""
    if row["low"] is None:
        return "-"
    below, above = row["score"] - row["low"], row["high"] - row["score"]
    if abs(below - above) < 5e-5:
        return f"{100 * above:.2f}"
    return f"[{percent(row['low'])}, {percent(row['high'])}]"


def ranges(numbers: Sequence[int]) -> str:
    """Ascending whole numbers with runs joined: 0-4, 7."""
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    return ", ".join(
        str(first) if first == last else f"{first}-{last}" for first, last in zip(starts, ends, strict=True)
    )


def thousands(number: float) -> str:
    """A parameter count in at most six characters: 1,536, 98.3K, 85.7M."""
    if number < 10_000:
        return f"{int(number):,}"
    return f"{number / 1e3:.1f}K" if number < 999_950 else f"{number / 1e6:.1f}M"


OF_TABLE = ("table", "benchmark", "backbone", "metric", "profile", "folds", "test_clips", "limit")
OF_ROW = (
    *("method", "variant", "incomplete", "score", "low", "high", "interval", "fold_sd", "seed_sd", "letters"),
    *("not_worse_than_best", "runs", "expected_runs", "adapted_parameters", "share", "redundant_parameters"),
    *("published_count", "seconds", "on_front", "config_key"),
)
CSV_COLUMNS = (
    *OF_TABLE,
    *("unlike_others", "validation", "epochs", "batch_size", "precision", "seeds"),
    *OF_ROW,
    *(f"parameters_{role}" for role in ROLES),
    "published",
)


def _section(report: Data) -> str:
    lines = [f"## {escaped(title(report))}", "", conditions(report), "", _scores(report), "", _parameters(report), ""]
    if any(row["profile"] for row in report["rows"]):
        lines += [_costs(report), "", f"{'; '.join(READING)}.", ""]
    if any(row["letters"] for row in report["rows"]):
        lines.append("- rows that share a letter are not significantly different")
    lines += [f"- {escaped(note)}" for note in notes(report)]
    return "\n".join(lines) + "\n"


def title(report: Data) -> str:
    """Benchmark, backbone and switches of a table, and in what it differs from others of these."""
    said = f"{report['benchmark']}, backbone {report['backbone']}, {profile(report)}"
    return said + (f" ({', '.join(report['unlike_others'])})" if report["unlike_others"] else "")


def profile(report: Data) -> str:
    """The profile of a table, spelt out where it is custom."""
    own = report["profile"] == "custom"
    said = f" ({describe_switches(Switches.model_validate(report['switches']))})" if own else ""
    return f"profile {report['profile']}{said}"


def conditions(report: Data) -> str:
    """What a table was measured on, and how."""
    seeds = ranges(report["seeds"])
    training, protocol = report["training"], report["protocol"]
    folds = f"{report['folds']} folds" if report["folds"] > 1 else "one split"
    partial = f", at most {report['limit']} clips per class and fold" if report["limit"] else ""
    return (
        f"{report['metric'].replace('_', ' ')} on {report['test_clips']:,} test clips of {report['sources']:,} sources"
        f"{partial}; {folds} ({protocol['validation']} validation), seeds {seeds}; "
        f"{count(training['epochs'], 'epoch')}, batch {training['batch_size']}, {training['precision']}."
    )


def _scores(report: Data) -> str:
    letters = any(row["letters"] for row in report["rows"])
    literature = any(row["published"] for row in report["rows"])
    lines = []
    for row in report["rows"]:
        name = escaped(row["method"]) + (" †" if row["not_worse_than_best"] else "")
        line = {
            "method": f"**{name}**" if row["not_worse_than_best"] else name,
            "score": percent(row["score"]),
            "±95%": plus_minus(row),
            "fold sd": percent(row["fold_sd"]),
            "seed sd": percent(row["seed_sd"]),
            **({"": row["letters"]} if letters else {}),
            "runs": f"{row['runs']}/{row['expected_runs']}",
            "s/run": f"{row['seconds']:.1f}",
            **({"published": escaped("; ".join(map(published, row["published"]))) or "-"} if literature else {}),
        }
        lines.append(line)
    return _table(lines)


def published(reference: Data) -> str:
    """A published value with its source and configuration."""
    configuration = f", {reference['configuration']}" if reference["configuration"] else ""
    return f"{reference['accuracy']:.2f} ({reference['source']}{configuration})"


def _parameters(report: Data) -> str:
    roles = [role for role in ROLES if any(row["parameters"][role] for row in report["rows"])]
    return _table(
        [
            {
                "trained parameters": escaped(row["method"]),
                **{role: thousands(row["parameters"][role]) for role in roles},
                "all but head": thousands(row["adapted_parameters"]),
                "share": f"{100 * row['share']:.2f}%",
                "as published": thousands(row["published_count"]),
            }
            for row in report["rows"]
        ]
    )


def _costs(report: Data) -> str:
    return _table(
        [
            {
                "costs": escaped(row["method"]),
                **{head: cell(row["profile"]) if row["profile"] else "-" for head, cell in COSTS.items()},
                "measured on": escaped(measured_on(row["profile"])) if row["profile"] else "-",
            }
            for row in report["rows"]
        ]
    )


def _table(lines: Sequence[dict[str, str]]) -> str:
    sides = ["left"] + ["right"] * (len(lines[0]) - 1)
    return str(tabulate(lines, headers="keys", tablefmt="pipe", disable_numparse=True, colalign=sides))


def notes(report: Data) -> list[str]:
    """What a reader of a table must know."""
    if not report["unlike_published"] or not any(row["published"] for row in report["rows"]):
        return list(report["notes"])
    return [*report["notes"], f"not as the published values were made: {'; '.join(report['unlike_published'])}"]


def _flat_row(report: Data, row: Data) -> Data:
    training = report["training"]
    return {
        **{key: report[key] for key in OF_TABLE},
        **{key: row[key] for key in OF_ROW},
        "unlike_others": "; ".join(report["unlike_others"]),
        "validation": report["protocol"]["validation"],
        **{key: training[key] for key in ("epochs", "batch_size", "precision")},
        "seeds": " ".join(map(str, row["seeds"])),
        **{f"parameters_{role}": row["parameters"].get(role, 0) for role in ROLES},
        "published": "; ".join(published(reference) for reference in row["published"]),
    }
