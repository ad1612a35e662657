"""What must be said of runs whose batches did not fit into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from petl_bench.records import RunRecord
from petl_bench.wording import count


def notes_on_parts(records: Iterable[RunRecord]) -> list[str]:
    """A line for every method some of whose batches did not fit into memory."""
    notes = []
    found = Counter((r.spec.method.implementation, r.train_info.parts) for r in records if r.train_info.parts)
    for (name, parts), number in sorted(found.items(), key=str):
        assert parts is not None
        seen = ", whose statistics are what BatchNorm saw" if parts.batch_norm else ""
        size = f"parts of {parts.clips} clips{seen}"
        notes.append(f"{name}: in {count(number, 'run')} batches did not fit into memory and were {size}")
    return notes
