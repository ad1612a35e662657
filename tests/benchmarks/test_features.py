"""Log-mel features against torchaudio's Kaldi port and transformers' AST extractor, and the cache's promises."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio
from transformers import ASTFeatureExtractor

from petl_bench.benchmarks.audio import to_mono
from petl_bench.benchmarks.dataset import open_dataset
from petl_bench.benchmarks.features import features_of, log_mel
from petl_bench.card_files import find_card, read_card
from petl_bench.cards import BenchmarkCard, Features
from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.locations import cache_folder
from tests.studies import TINY, Log, Study, plan_of


def clips(samples: int, count: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(count, samples, generator=random)


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000, 80_001])
def test_log_mel_equals_torchaudio_kaldi(samples: int) -> None:
    waveforms = clips(samples)
    ours = log_mel(waveforms)
    for waveform, mel in zip(waveforms, ours, strict=True):
        kaldi = torchaudio.compliance.kaldi.fbank(
            waveform[None], sample_frequency=16_000, window_type="hanning", num_mel_bins=128
        )
        torch.testing.assert_close(mel, kaldi, atol=1e-5, rtol=0)


def test_silence_is_floored_as_in_kaldi() -> None:
    silence = torch.zeros(1, 4_000)
    kaldi = torchaudio.compliance.kaldi.fbank(silence, window_type="hanning", num_mel_bins=128)
    torch.testing.assert_close(log_mel(silence)[0], kaldi)


@pytest.mark.parametrize("frames", [60, 98, 100, 130])
def test_features_equal_the_ast_extractor(frames: int) -> None:
    card = read_card(find_card("benchmarks", "synthetic"), BenchmarkCard)
    dataset = open_dataset("synthetic", card, Path(), limit=1)
    settings = Features(frames=frames)
    table = features_of(dataset, settings)
    extractor = ASTFeatureExtractor(max_length=frames)
    for index in (0, 17, len(dataset.clips) - 1):
        waveform = to_mono(*dataset.layout.read(dataset.clips[index])).numpy()
        expected = extractor(waveform, sampling_rate=16_000, return_tensors="np")["input_values"][0]
        normalised = (table[index] - settings.mean) / (2 * settings.std)
        np.testing.assert_allclose(normalised, expected, atol=1e-5, rtol=0)


def test_real_clips_equal_the_ast_extractor(shared_data: Path) -> None:
    """44.1 kHz recordings, some shorter than five seconds: resampled, cut or padded, then normalised."""
    card = read_card(find_card("benchmarks", "esc10"), BenchmarkCard)
    dataset = open_dataset("esc10", card, shared_data / "ESC-10", limit=1)
    table = features_of(dataset, card.features)
    extractor = ASTFeatureExtractor(max_length=card.features.frames)
    for index in range(0, len(dataset.clips), 7):
        samples, rate = dataset.layout.read(dataset.clips[index])
        waveform = torchaudio.functional.resample(torch.from_numpy(samples).mean(0), rate, 16_000).numpy()
        expected = extractor(waveform, sampling_rate=16_000, return_tensors="np")["input_values"][0]
        normalised = (table[index] - card.features.mean) / (2 * card.features.std)
        np.testing.assert_allclose(normalised, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "damage", [b"", b"\x93NUMPY", b"not an array at all", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x10\x00{{((            \n"]
)
def test_a_damaged_cache_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: bytes) -> None:
    monkeypatch.setenv("PETL_BENCH_CACHE", str(tmp_path))
    card = read_card(find_card("benchmarks", "synthetic"), BenchmarkCard)
    dataset = open_dataset("synthetic", card, Path(), limit=1)
    first = np.array(features_of(dataset, card.features))
    (path,) = (cache_folder() / "features").glob("*.npy")
    doubled = io.BytesIO()
    np.save(doubled, first.astype(np.float64))
    for content in (damage, path.read_bytes()[:-1], doubled.getvalue()):
        path.write_bytes(content)
        assert np.array_equal(features_of(dataset, card.features), first)


def test_of_several_that_need_features_one_makes_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PETL_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("petl_bench.benchmarks.clip_table.LOOK_SECONDS", 0.01)
    card = read_card(find_card("benchmarks", "synthetic"), BenchmarkCard)
    dataset = open_dataset("synthetic", card, Path(), limit=1)
    made: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        needed = [pool.submit(features_of, dataset, card.features, lambda done, _: made.append(done)) for _ in range(4)]
        tables = [task.result() for task in needed]
    assert made.count(50) == 1
    assert all(np.array_equal(table, tables[0]) for table in tables)
    assert list((tmp_path / "claims").iterdir()) == []


def test_an_interrupted_extraction_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PETL_BENCH_CACHE", str(tmp_path))
    card = read_card(find_card("benchmarks", "synthetic"), BenchmarkCard)
    dataset = open_dataset("synthetic", card, Path(), limit=1)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features_of(dataset, card.features, interrupt)
    assert list((cache_folder() / "features").iterdir()) == []
    assert features_of(dataset, card.features).shape == (50, 100, 128)
    assert {path.suffix for path in (cache_folder() / "features").iterdir()} == {".npy", ".json"}


def test_a_table_with_a_changed_byte_is_made_anew_and_never_used(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends in one line; the same command then has the result of an undamaged table."""
    monkeypatch.setenv("PETL_BENCH_CACHE", str(tmp_path / "cache"))  # no other test is to find the damage
    whole = Execution(executor="in_process", frozen_states=False)  # every clip is read
    study.run(Log(), whole)
    kept = next(path.read_bytes() for path in study.tree.root.rglob("predictions.npz"))
    (table,) = (cache_folder() / "features").glob("*.npy")
    content = bytearray(table.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 100_000] = bytes(100_000)
    table.write_bytes(content)
    with pytest.raises(UserError, match="was damaged and is removed: the same command makes it anew"):
        study.run(Log(), whole, force=True)
    assert study.run(Log(), whole, force=True).trained == 1
    assert next(path.read_bytes() for path in study.tree.root.rglob("predictions.npz")) == kept
    assert study.tree.failures() == {}


def test_what_a_dead_process_left_of_a_table_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETL_BENCH_CACHE", str(tmp_path))
    plan, workbench = plan_of(TINY)
    features = plan[0].spec.data.features
    workbench.features(features)
    table = next((tmp_path / "features").glob("*.npy"))
    table.rename(table.with_name(f".{table.name}.0a1b2c3d"))
    plan_of(TINY)[1].features(features)
    assert [path.name for path in (tmp_path / "features").glob("*.npy*")] == [table.name]
