"""What the benchmark's card, as it is now, says of a table."""

from __future__ import annotations

from petl_bench.card_files import card_files, read_card
from petl_bench.cards import BenchmarkCard
from petl_bench.errors import UserError
from petl_bench.leaderboard.tables import Table


def benchmark_card(benchmark: str) -> BenchmarkCard | None:
    """The card of that name there is now, None where there is none that can be read."""
    try:
        return read_card(card_files("benchmarks")[benchmark], BenchmarkCard)
    except (KeyError, UserError):
        return None


def notes_on_sample(table: Table) -> list[str]:
    """A line where the card counts more clips than the runs had, as ``run`` has it; ``limit`` and shots say so alone.

    Counted are the parts of a fold, which together are the data set: fewer where validation clips are test clips too.
    """
    info = table.first.record.meta_info.dataset_info
    if info["limit"] is not None or table.spec.data.protocol.shots is not None:
        return []
    card = benchmark_card(table.benchmark)
    found = sum(table.fold_sizes[0].values())
    if card is None or card.clip_count is None or found >= card.clip_count:
        return []
    return [
        f"{table.benchmark}: {found:,} clips, the card says {card.clip_count:,}: "
        "results are not those of the whole data set"
    ]
