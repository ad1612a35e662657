"""A table in numbers: scores with intervals, who is not worse than the best, parameters, costs, published values.

Everything is plain data, so that Markdown, CSV and JSON say the same. Scores are fractions; numbers are rounded to
nine digits, so that files are equal on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from petl_bench.canonical import canonical, digest
from petl_bench.index import IndexedRun
from petl_bench.leaderboard.benchmark import benchmark_card, notes_on_sample
from petl_bench.leaderboard.tables import Row, Table
from petl_bench.leaderboard.training_notes import notes_on_time, notes_on_training
from petl_bench.runspec import WaveformFeatures
from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.comparisons import Comparisons, compare
from petl_bench.stats.describe import describe
from petl_bench.stats.engine import incompleteness
from petl_bench.stats.estimate import Interval
from petl_bench.stats.scores import OWN_SOURCES
from petl_bench.switches import describe_switches
from petl_bench.wording import count

MOST_COMPARED = 60
"""Rows up to which all pairs are tested."""

Data = dict[str, Any]
OF_CODE = ("optimizer", "numerics_version")


def report(table: Table) -> Data:
    """Everything that a page says of a table."""
    spec, record = table.spec, table.first.record
    comparisons = compare([row.scores for row in table.rows]) if len(table.rows) <= MOST_COMPARED else None
    rows = [_row(row, table, comparisons) for row in table.rows]
    notes = _notes(table, comparisons, rows)
    clips, sources = table.clips
    for row, on_front in zip(rows, pareto_front(rows), strict=True):
        row["on_front"] = on_front
    rows.sort(key=lambda row: (row["incomplete"] != "", -(row["score"] or 0.0), row["method"]))
    info = record.meta_info.dataset_info
    return {
        "benchmark": table.benchmark,
        "backbone": table.backbone,
        "table": digest(table.conditions, 8),
        "unlike_others": [],
        "metric": spec.data.metric,
        "profile": table.profile,
        "switches": spec.switches.model_dump() if "," not in table.profile else None,
        "folds": len(table.folds),
        "seeds": list(table.seeds),
        "fold_sizes": list(table.fold_sizes),
        "test_clips": clips,
        "sources": sources,
        "limit": info["limit"],
        "training": {key: value for key, value in canonical(spec.training).items() if key not in OF_CODE},
        "protocol": canonical(spec.data.protocol),
        "unlike_published": unlike_published(table),
        "rows": rows,
        "notes": notes,
    }


def _row(row: Row, table: Table, comparisons: Comparisons | None) -> Data:
    first, described = row.runs[0].record, describe(row.scores)
    info, name = first.train_info, row.name.text
    low, high, scale = _bounds(described.interval)
    letters = comparisons.letters if comparisons else NotAvailable("too many rows")
    waveforms = isinstance(table.spec.data.features, WaveformFeatures)
    return {
        "method": name,
        "variant": row.name.variant,
        "incomplete": incompleteness(row.scores, table.folds) or "",
        "score": number(described.score),
        "low": low,
        "high": high,
        "interval": scale,
        "fold_sd": number(described.fold_sd),
        "seed_sd": number(described.seed_sd),
        "letters": "" if isinstance(letters, NotAvailable) else letters.get(name, ""),
        "not_worse_than_best": bool(comparisons and name in comparisons.not_worse_than_best),
        "mean_of_folds": number(described.mean_of_folds),
        "fold_sizes_matter": described.fold_sizes_matter,
        "seeds": sorted({run.record.spec.seed for run in row.runs}),
        "runs": len(row.runs),
        "expected_runs": len(table.folds) * len(table.seeds),
        "parameters": info.parameters,
        "adapted_parameters": info.adapted_parameters,
        "share": number(info.adapted_parameters / info.num_total_params),
        "redundant_parameters": info.redundant_parameters,
        "published_count": info.published_count,
        "seconds": number(round(median(run.record.run_info.total_time for run in row.runs), 2)),
        "config_key": first.run_info.config_key,
        "profile": row.profile.model_dump(mode="json") if row.profile else None,
        "published": [
            reference.model_dump(exclude={"benchmark", "backbone"})
            for reference in (row.name.card.reference if row.name.card else ())
            if reference.is_of(table.benchmark, table.backbone, waveforms=waveforms)
        ],
    }


def _bounds(interval: Interval | NotAvailable) -> tuple[float | None, float | None, str]:
    """Ends within what a metric can be, and where the interval was made."""
    if isinstance(interval, NotAvailable):
        return None, None, ""
    return number(max(0.0, interval.low)), number(min(1.0, interval.high)), interval.scale


def pareto_front(rows: Sequence[Data]) -> list[bool]:
    """Per row, whether no other complete row has at least its score with at most its adapted parameters, one better.

    Of point estimates: intervals may overlap.
    """
    points = [None if row["incomplete"] else (row["score"], -row["adapted_parameters"]) for row in rows]
    there = [point for point in points if point is not None]
    return [
        point is not None
        and not any(other != point and other[0] >= point[0] and other[1] >= point[1] for other in there)
        for point in points
    ]


def number(value: float | NotAvailable) -> float | None:
    """Nine significant digits, or None where there is no number."""
    return None if isinstance(value, NotAvailable) else float(f"{value:.9g}")


def unlike_published(table: Table) -> list[str]:
    """In what the table differs from the protocol of its benchmark card and from the literature's code."""
    spec, record = table.spec, table.first.record
    found = [] if table.profile == "published" else [_profile(table)]
    card = benchmark_card(table.benchmark)
    if card is None:
        return found
    if table.backbone != card.backbone:
        found.append(f"backbone {table.backbone}, not {card.backbone}")
    ours, theirs = spec.training, card.training
    for name, is_, wanted in (
        ("epochs", ours.epochs, theirs.epochs),
        ("batch size", ours.batch_size, theirs.batch_size),
        ("precision", ours.precision, "fp32"),
        ("frames", spec.data.features.frames, card.features.frames),
        ("validation", spec.data.protocol.validation, card.protocol.validation),
        ("classes", spec.data.class_count, card.class_count or spec.data.class_count),
    ):
        if is_ != wanted:
            found.append(f"{name} {is_}, not {wanted}")
    found += card.unlike_published
    clips = sum(record.meta_info.dataset_info["clips"].values())
    if card.clip_count is not None and clips != card.clip_count:
        found.append(f"{clips:,} clips, not {card.clip_count:,}")
    return found


def _profile(table: Table) -> str:
    custom = f" ({describe_switches(table.spec.switches)})" if table.profile == "custom" else ""
    return f"profile {table.profile}{custom}"


def _is_of_search(run: IndexedRun) -> bool:
    """Whether a run was made for a trial of a search."""
    return "search" in run.record.meta_info.method_info


def _notes(table: Table, comparisons: Comparisons | None, rows: Sequence[Data]) -> list[str]:
    notes = [*notes_on_sample(table), *(f"backbone {note}" for note in table.backbone_notes), *table.problems]
    if comparisons is None:
        notes.append(f"more than {MOST_COMPARED} rows: not tested against each other")
    else:
        notes += [note for note in comparisons.notes if note != OWN_SOURCES or table.spec.data.metric == "accuracy"]
        for why in sorted(set(comparisons.incomplete.values())):
            names = [name for name, its in comparisons.incomplete.items() if its == why]
            notes.append(f"{why}, no rank and no test: {', '.join(names)}")
        notes += _about_tests(comparisons, rows)
    by_row = {row.name.text: [run.record for run in row.runs] for row in table.rows}
    notes += [*notes_on_training(by_row), *notes_on_time(by_row)]
    if tried := [row.name.text for row in table.rows if row.name.variant and any(map(_is_of_search, row.runs))]:
        notes.append(f"tried by searches, the best of them flattered by having been chosen: {', '.join(tried)}")
    if table.spec.data.metric != "accuracy":
        notes.append("±95% and tests rest on jackknife pseudo-values, one per source")
    if any(row["seeds"] != rows[0]["seeds"] for row in rows):
        notes.append(
            "seeds differ: " + "; ".join(f"{row['method']} {', '.join(map(str, row['seeds']))}" for row in rows)
        )
    if len(table.seeds) < 3:
        notes.append(f"{count(len(table.seeds), 'seed')}: three or more make tests and intervals more reliable")
    return notes


def _about_tests(comparisons: Comparisons, rows: Sequence[Data]) -> list[str]:
    """Which question the tests and intervals answer, where it is not how training procedures differ."""
    notes = []
    if isinstance(comparisons.letters, NotAvailable) and comparisons.letters.reason.startswith("no test"):
        untested = {row.verdict.reason for row in comparisons.rows if isinstance(row.verdict, NotAvailable)}
        notes.append(f"rows are not marked, some pairs have no test: {'; '.join(sorted(untested))}")
    if any(row.difference.procedure == "source sign-flip" for row in comparisons.rows):
        notes.append(
            "marks rest on a sign-flip over sources: they are about these trained models, seed noise is ignored"
        )
    if any(row["interval"] == "Wilson" for row in rows):
        notes.append("some ±95% are Wilson's, for independent clips: they know neither sources nor run noise")
    return notes
