"""Silent clips and clips that are cut: used as documented, and said under every table."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_bench.benchmarks.dataset import Dataset, open_dataset
from petl_bench.benchmarks.features import features_of, notes_on_clips
from petl_bench.card_files import find_card, read_card
from petl_bench.cards import BenchmarkCard, Features
from petl_bench.locations import cache_folder
from tests.benchmarks.test_audio import noise
from tests.studies import Command


def manifest(folder: Path, clips: dict[str, tuple[np.ndarray, int]]) -> Dataset:
    """Clips of two classes in five folds."""
    rows = ["path,label,fold"]
    for at, (name, (samples, rate)) in enumerate(clips.items()):
        soundfile.write(folder / name, samples, rate, subtype="FLOAT")
        rows.append(f"{name},{'ab'[at % 2]},{at % 5 + 1}")
    (folder / "clips.csv").write_text("\n".join(rows))
    card = read_card(find_card("benchmarks", "manifest"), BenchmarkCard)
    return open_dataset("mine", card, folder)


def odd_clips() -> dict[str, tuple[np.ndarray, int]]:
    return {
        "zeros.wav": (np.zeros((16_000, 1)), 16_000),
        "constant.wav": (np.full((44_100, 1), 0.25), 44_100),
        "opposite.wav": (np.hstack([noise(44_100), -noise(44_100)]), 44_100),
        "late.wav": (np.concatenate([np.zeros((32_000, 1)), noise(32_000)]), 16_000),
        "long.wav": (noise(4 * 48_000), 48_000),
        "one frame more.wav": (noise(16_000 + 240 + 160), 16_000),
        "short.wav": (noise(8_000), 16_000),
        "exact.wav": (noise(16_000), 16_000),
    }


def test_silent_and_longer_clips_are_used_and_noted(tmp_path: Path) -> None:
    dataset, features = manifest(tmp_path, odd_clips()), Features(frames=100)
    assert notes_on_clips(dataset, features) == []
    table = features_of(dataset, features)
    assert np.isfinite(table).all()
    assert notes_on_clips(dataset, features) == [
        "mine: without any sound: 4 clips (zeros.wav, constant.wav, opposite.wav, late.wav)",
        "mine: longer than 1.0 s, only the beginning is used: 2 clips (late.wav, long.wav)",
    ]
    assert notes_on_clips(dataset, Features(frames=200)) == []


def test_tables_of_runs_on_such_clips_say_so_wherever_they_are_made(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    manifest(tmp_path / "mine", odd_clips())
    made = ["--dataset", "manifest", "--data-dir", str(tmp_path / "mine"), "--backbone", "mini", "--folds", "1"]
    made += ["--epochs", "1", "--executor", "in_process", "--set", "manifest.features.frames=100"]
    made += ["--set", "manifest.protocol.validation=previous_fold"]
    code, out, err = command("run", "--methods", "linear", *made)
    assert code == 0, err
    shutil.rmtree(cache_folder())
    assert command("leaderboard", "--out", ".")[0] == 0
    for said in (
        "- manifest: without any sound: 4 clips (zeros.wav, constant.wav, opposite.wav, late.wav)",
        "- manifest: longer than 1.0 s, only the beginning is used: 2 clips (late.wav, long.wav)",
    ):
        assert said in " ".join(out.split())
        assert said in Path("leaderboard.md").read_text()


@pytest.mark.parametrize("damage", [None, b"", b"{", b"[]", b'{"silent": 3}', b"\xff", b"[" * 100_000])
def test_damaged_facts_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None) -> None:
    monkeypatch.setenv("PETL_BENCH_CACHE", str(tmp_path / "cache"))
    dataset, features = manifest(tmp_path, odd_clips()), Features(frames=100)
    table = np.array(features_of(dataset, features))
    before = notes_on_clips(dataset, features)
    (path,) = (cache_folder() / "features").glob("*.json")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert notes_on_clips(dataset, features) == []
    assert np.array_equal(features_of(dataset, features), table)
    assert notes_on_clips(dataset, features) == before
