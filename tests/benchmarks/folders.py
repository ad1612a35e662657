"""Small data sets for tests: short noises in folders, and the cards that open them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from petl_bench.benchmarks.dataset import Dataset, open_dataset
from petl_bench.card_files import find_card, read_card
from petl_bench.cards import BenchmarkCard


def card_of(name: str, **changes: object) -> BenchmarkCard:
    card = read_card(find_card("benchmarks", name), BenchmarkCard)
    return card.model_copy(update=changes)


def write_wav(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(1_600), 16_000)


def manifest(folder: Path, rows: list[str], header: str = "path,label") -> Path:
    """A folder with clips.csv and a short noise for every path in it."""
    (folder / "clips.csv").write_text("\n".join([header, *rows]) + "\n")
    for at, row in enumerate(rows):
        path = row.partition(",")[0]
        if path and not path.startswith(("/", "..", "a/..")):
            write_wav(folder / path, seed=at)
    return folder


def open_manifest(folder: Path, **protocol: object) -> Dataset:
    card = card_of("manifest")
    return open_dataset("mine", card.model_copy(update={"protocol": card.protocol.model_copy(update=protocol)}), folder)
