"""What ``compare`` prints of a table: scores, differences with verdicts, clips, and what more runs would show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from petl_bench.cli._board import COLUMNS, marks
from petl_bench.cli._layout import Columns, grid, note, say
from petl_bench.leaderboard.pages import p_value, percent, plus_minus, ranges, title
from petl_bench.leaderboard.report import Data


def print_table(report: Data, *, margin: float | None, verbose: bool) -> None:
    """One table's comparison."""
    print()
    say(title(report))
    sizes = report["fold_sizes"]
    tested, trained = ("/".join(map(str, dict.fromkeys(size[part] for size in sizes))) for part in ("test", "train"))
    print(f"{report['test_clips']:,} test clips of {report['sources']:,} sources, seeds {ranges(report['seeds'])}")
    print(f"{len(sizes)} of {report['folds']} folds, tested on {tested} clips each, trained on {trained}")
    print(f"{report['metric'].replace('_', ' ')}, percent\n")
    grid(report["rows"], SCORES)
    if report["comparisons"]:
        _print_pairs(report["comparisons"], margin, verbose=verbose)
    for text in _notes(report):
        note(text)


def _print_pairs(rows: Sequence[Data], margin: float | None, *, verbose: bool) -> None:
    grid(rows, DIFFERENCES, name=_pair)
    grid(rows, DETAILS, name=_pair)
    grid(rows, ERRORS, name=_pair)
    if margin is not None:
        print(f"within {margin:g} points, declared beforehand")
        grid(rows, MARGIN, name=_pair)
    if verbose:
        print("other questions: these models on new clips; training on these very clips")
        grid(rows, OTHER_TESTS, name=_pair)


def print_over_datasets(group: Data, reports: Sequence[Data]) -> None:
    """Scores and mean differences over data sets."""
    rows, ranks = group["pairs"], group["mean_ranks"]
    names = list(rows[0]["differences"])
    scores = {
        name: {row["method"]: row for row in report["rows"]}
        for name in names
        for report in reports
        if report["benchmark"] == name
    }
    print(f"\nover {len(names)} data sets: {', '.join(names)}\n")
    methods = [{"method": method, "rank": rank} for method, rank in ranks.items()]
    columns: Columns = {name: _score_on(scores[name]) for name in names}
    grid(methods, {**columns, "mean rank": lambda row: f"{row['rank']:.2f}"})
    print("differences, * significant on that data set (Holm)")
    grid(rows, {name: _on_dataset(name) for name in names}, name=_pair)
    columns = {
        "mean": lambda row: _signed(row["mean"]),
        "95% interval": _interval,
        "p Holm": lambda row: p_value(row["p_holm"]),
        "won/tied/lost": lambda row: f"{row['wins']}/{row['ties']}/{row['losses']}",
    }
    if rows[0]["p_new_data_set"] is not None:
        columns["p new"] = lambda row: p_value(row["p_new_data_set"])
    grid(rows, columns, name=_pair)
    note("the mean is over these data sets and no others; p new: for data sets not seen, of low power")


def _score_on(rows: dict[str, Data]) -> Callable[[Data], str]:
    return lambda row: f"{percent(rows[row['method']]['score'])} ±{plus_minus(rows[row['method']])}"


def _on_dataset(name: str) -> Callable[[Data], str]:
    return lambda row: _signed(row["differences"][name]) + ("*" if name in row["significant"] else "")


def _pair(row: Data) -> str:
    return f"{row['method']} - {row['reference']}"


SCORES: Columns = {
    "score": lambda row: percent(row["score"]),
    "±95%": plus_minus,
    "fold sd": lambda row: percent(row["fold_sd"]),
    "seed sd": lambda row: percent(row["seed_sd"]),
    "": COLUMNS[""],
    "trained": COLUMNS["share"],
    "runs": COLUMNS["runs"],
}
DIFFERENCES: Columns = {
    "points": lambda row: _signed(row["difference"]),
    "95% interval": lambda row: _interval(row),
    "p": lambda row: p_value(row["p"]),
    "p Holm": lambda row: p_value(row["p_holm"]),
    "p cons.": lambda row: p_value(row["p_conservative"]),
    "verdict": lambda row: row["verdict"].partition(":")[0],
}
DETAILS: Columns = {
    "P(higher)": lambda row: f"{row['probability_of_superiority']:.2f}",
    "both wrong": lambda row: _clips(row, "both_wrong"),
    "only first": lambda row: _clips(row, "only_first"),
    "only second": lambda row: _clips(row, "only_second"),
    "test": lambda row: row["test"],
}
ERRORS: Columns = {
    "SE sources": lambda row: percent(row["standard_error_of_sources"]),
    "SE runs": lambda row: percent(row["standard_error_of_runs"]),
    "SE": lambda row: percent(row["standard_error"]),
    "df": lambda row: "-" if row["degrees_of_freedom"] is None else f"{row['degrees_of_freedom']:.1f}",
    "detectable": lambda row: percent(row.get("detectable_now")),
    "floor": lambda row: percent(row.get("detectable_floor")),
}
MARGIN: Columns = {
    "non-inferior p": lambda row: p_value(row["p_non_inferior_holm"]),
    "equivalent p": lambda row: p_value(row["p_equivalent_holm"]),
    "P(within)": lambda row: p_value(row["probability_within_margin"]),
}
OTHER_TESTS: Columns = {
    "sign-flip p": lambda row: p_value(row["sign_flip_p"]),
    "Welch p": lambda row: p_value(row["welch_p"]),
    "fold t p": lambda row: p_value(row["fold_test_p"]),
}


def _notes(report: Data) -> list[str]:
    rows = report["comparisons"]
    notes = marks(report["rows"])
    notes += dict.fromkeys(f"p answers: {row['question']}" for row in rows)
    if rows:
        notes.append("p cons.: the corrected resampled t-test, a guard against overlapping training sets")
        notes.append(
            "detectable: the true difference that a test, unadjusted, finds with 80% power now; floor: with any seeds"
        )
    for row in rows:
        if (seeds := row.get("seeds_for_margin")) is not None:
            notes.append(f"{_pair(row)}: about {max(2, math.ceil(seeds))} seeds to find a difference of the margin")
        elif row.get("margin_out_of_reach"):
            notes.append(f"{_pair(row)}: no number of seeds finds a difference of the margin on these clips")
    for row in report["rows"]:
        if row["fold_sizes_matter"]:
            notes.append(f"{row['method']}: the mean of folds is {percent(row['mean_of_folds'])}")
    reasons = [row["verdict"] for row in rows if row["verdict"].startswith("no test")]
    every = [*notes, *report["notes"], *reasons, *(note for row in rows for note in row["notes"])]
    return list(dict.fromkeys(every))


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.2f}"


def _interval(row: Data) -> str:
    return "-" if row["low"] is None else f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}"


def _clips(row: Data, key: str) -> str:
    return "-" if row["clips"] is None else f"{row['clips'][key]:.0f}"
