"""What a table must say of its runs: budgets that ended too early, clips that were cut, batches that did not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from petl_bench.records import RunRecord
from petl_bench.wording import count

UNEVEN = 1.5
"""Ratio of the longest to the shortest run of a row, 1.1 to 1.3 on a quiet machine, from which times need a note."""
BRIEF = 5.0
"""Seconds below which runs are too short for that, as what is computed once weighs more than the machine's load."""


def notes_on_training(rows: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    """Lines about the runs of every row, by the row's name."""
    every = [record for records in rows.values() for record in records]
    return [*_on_clips(every), *_on_budget(rows), *_on_parts(every)]


def notes_on_time(rows: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    """A line where times within a row are too far apart for their median to say what a method costs."""
    times = [[record.run_info.total_time for record in records] for records in rows.values()]
    worst = max((max(seconds) / max(min(seconds), 0.01) for seconds in times if max(seconds) > BRIEF), default=1.0)
    if worst < UNEVEN:
        return []
    return [
        f"runs of one method differ up to {worst:.1f}-fold in time: s/run says how busy the machine was, too; "
        "petl-bench profile measures costs"
    ]


def _on_clips(records: Iterable[RunRecord]) -> list[str]:
    """What showed when the clips of the runs were read, each line once."""
    return list(dict.fromkeys(line for record in records for line in record.meta_info.dataset_info.get("notes", [])))


def _on_budget(rows: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    """One line about the rows of which most runs were best, in validation, after their very last epoch."""
    still_learning = []
    for name, records in rows.items():
        last = sum(record.train_info.best_epoch == record.spec.training.epochs for record in records)
        if 2 * last > len(records):
            still_learning.append(f"{name} {last}/{len(records)}")
    if not still_learning:
        return []
    return [
        "best in validation after their last epoch, so that longer training may change scores and order: "
        f"{', '.join(still_learning)} runs"
    ]


def _on_parts(records: Iterable[RunRecord]) -> list[str]:
    """A line for every method some of whose batches did not fit into memory."""
    notes = []
    found = Counter((r.spec.method.implementation, r.train_info.parts) for r in records if r.train_info.parts)
    for (name, parts), number in sorted(found.items(), key=str):
        assert parts is not None
        seen = ", whose statistics are what BatchNorm saw" if parts.batch_norm else ""
        size = f"parts of {parts.clips} clips{seen}"
        notes.append(f"{name}: in {count(number, 'run')} batches did not fit into memory and were {size}")
    return notes
