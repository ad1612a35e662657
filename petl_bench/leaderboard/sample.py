"""Whether a table's clips are the whole data set that the benchmark's card names, told from records alone."""

from __future__ import annotations

from petl_bench.card_files import card_files, read_card
from petl_bench.cards import BenchmarkCard
from petl_bench.errors import UserError
from petl_bench.leaderboard.tables import Table


def notes_on_sample(table: Table) -> list[str]:
    """A line where the card counts more clips than the runs had, as ``run`` has it; ``limit`` and shots say so alone.

    Counted are the parts of fold 1, which together are the data set: fewer where validation clips are test clips too.
    """
    info = table.first.record.meta_info.dataset_info
    if info["limit"] is not None or table.spec.data.protocol.shots is not None:
        return []
    found = sum(table.fold_sizes[0].values())
    expected = _clips_of_card(table.benchmark)
    if expected is None or found >= expected:
        return []
    return [
        f"{table.benchmark}: {found:,} clips, the card says {expected:,}: results are not those of the whole data set"
    ]


def _clips_of_card(benchmark: str) -> int | None:
    """Clips of the card as it is now; None without such a card, or where it counts none."""
    file = card_files("benchmarks").get(benchmark)
    try:
        return None if file is None else read_card(file, BenchmarkCard).clip_count
    except UserError:
        return None
