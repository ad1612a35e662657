"""Trained adapters on audio files: any format, what was cut is said, what cannot be read is named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.functional import resample

from petl_bench.adapters.model import load_model
from petl_bench.adapters.predict import FilePrediction, Unread, predict_files
from petl_bench.adapters.saved import SavedAdapter, read_adapter, write_adapter
from petl_bench.api import predict
from petl_bench.errors import UserError
from petl_bench.records import FinishedRun
from petl_bench.results import ResultsTree
from tests.adapters.exported import exported, filed, trained, write_clips
from tests.studies import Command


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An exported conformer adapter, with ``clips`` beside it."""
    base = tmp_path_factory.mktemp("predict")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETL_BENCH_CACHE", str(base / "cache"))
        run = exported(ResultsTree(base / "results"), base / "out", methods=("conformer",))
        write_clips(trained()[1], run.predictions.test_ids.tolist(), base / "clips")
        yield base / "out"


@pytest.fixture
def clip(out: Path) -> Path:
    return sorted((out.parent / "clips").iterdir())[0]


def probabilities(folder: Path, *files: Path) -> list[dict[str, float]]:
    answers = predict_files(load_model(folder), files)
    return [dict(answer.top(10)) for answer in answers if isinstance(answer, FilePrediction)]


def test_formats_rates_and_channels_are_read_as_in_training(out: Path, clip: Path, tmp_path: Path) -> None:
    """Two channels at 44.1 kHz: as their mean, resampled to 16 kHz beforehand."""
    samples, _ = soundfile.read(clip, dtype="float32")
    wide = resample(torch.from_numpy(samples), 16_000, 44_100).numpy()
    soundfile.write(tmp_path / "two.wav", np.stack([1.5 * wide, 0.5 * wide], 1), 44_100, subtype="FLOAT")
    back = resample(torch.from_numpy(wide), 44_100, 16_000).numpy()
    soundfile.write(tmp_path / "one.wav", back, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "coded.flac", samples, 16_000, subtype="PCM_24")
    two, one, coded, plain = probabilities(out, *(tmp_path / n for n in ("two.wav", "one.wav", "coded.flac")), clip)
    assert two == pytest.approx(one, abs=1e-4)
    assert coded == pytest.approx(plain, abs=1e-3)
    assert sum(plain.values()) == pytest.approx(1)


def test_files_are_heard_alone_whatever_is_beside_them(out: Path, clip: Path, tmp_path: Path) -> None:
    samples, _ = soundfile.read(clip, dtype="float32")
    soundfile.write(tmp_path / "short.wav", samples[:4000], 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "long.wav", np.tile(samples, 3), 16_000, subtype="FLOAT")
    (tmp_path / "broken.wav").write_bytes(clip.read_bytes()[:1000])
    soundfile.write(tmp_path / "click.wav", samples[:100], 16_000, subtype="FLOAT")
    files = [clip, *(tmp_path / f"{name}.wav" for name in ("short", "broken", "click", "absent", "long"))]
    plain, short, broken, click, absent, long = predict_files(load_model(out), files)
    assert isinstance(plain, FilePrediction)
    assert isinstance(short, FilePrediction)
    assert isinstance(long, FilePrediction)
    assert (plain.notes, short.notes) == ((), ())
    assert long.notes == ("longer than 1 s: only its beginning was heard",)
    soundfile.write(tmp_path / "late.wav", np.r_[np.zeros(20_000), samples], 16_000, subtype="FLOAT")
    (late,) = predict_files(load_model(out), [tmp_path / "late.wav"])
    assert isinstance(late, FilePrediction)
    assert late.notes[1] == "the part that was heard is silent"
    (alone,) = predict_files(load_model(out), [tmp_path / "short.wav"])
    assert isinstance(alone, FilePrediction)
    np.testing.assert_allclose(alone.logits, short.logits, atol=1e-5)
    reasons = [answer.reason for answer in (broken, click, absent) if isinstance(answer, Unread)]
    assert [reason.startswith(str(file)) for reason, file in zip(reasons, files[2:5], strict=True)] == [True] * 3
    assert "lasts 6 ms: at least one window of 25 ms is needed" in reasons[1]


def test_a_name_that_is_not_utf_8_is_one_line_and_the_others_are_classified(
    out: Path, clip: Path, tmp_path: Path, command: Command
) -> None:
    odd = tmp_path / os.fsdecode(b"d\xe9j\xe0.wav")
    odd.write_bytes(clip.read_bytes())
    code, text, err = command("predict", str(out), str(odd), str(clip), "--top", "1", "--json")
    assert code == 2
    assert err.count("\n") == 1
    assert "d\\udce9j\\udce0.wav: a name that is not UTF-8 text cannot be opened: rename the file" in err
    assert [found["file"] for found in json.loads(text)] == [str(clip)]


def test_classes_are_ranked_by_softmax() -> None:
    answer = FilePrediction("x", ("a", "b", "c"), np.log(np.array([0.2, 0.5, 0.3], np.float32)) + 100)
    assert [name for name, _ in answer.top(2)] == ["b", "c"]
    assert dict(answer.top(9)) == pytest.approx({"b": 0.5, "c": 0.3, "a": 0.2}, rel=1e-4)
    assert [name for name, _ in FilePrediction("x", ("a", "b"), np.zeros(2, np.float32)).top(2)] == ["a", "b"]


def test_predict_prints_a_table_or_json(out: Path, clip: Path, command: Command) -> None:
    code, text, err = command("predict", str(out), str(clip))
    assert (code, err) == (0, "")
    assert len(re.findall(r"^.* (noise|tone)_\w+ +\d+\.\d\d$", text, re.MULTILINE)) == 3
    code, text, err = command("predict", str(out), str(clip), "absent.wav", "--top", "1", "--json")
    assert (code, err) == (2, "petl-bench: absent.wav cannot be read: No such file or directory\n")
    (found,) = json.loads(text)
    assert (found["file"], len(found["classes"]), found["notes"]) == (str(clip), 1, [])
    frame = predict(out, clip)
    assert frame.columns.tolist() == ["file", "rank", "class", "probability", "notes"]
    first = frame.iloc[0]
    assert found["classes"] == [{"class": first["class"], "probability": pytest.approx(first["probability"])}]
    with pytest.warns(UserWarning, match=r"absent\.wav cannot be read"):
        assert len(predict(out, [clip, "absent.wav"], top=2)) == 2


def test_a_run_is_named_by_its_folder_or_the_beginning_of_its_key(tmp_path: Path, clip: Path, command: Command) -> None:
    run, _ = trained(methods=("linear",))
    folder = filed(ResultsTree(tmp_path / "results"), run)
    results = ["--results", str(tmp_path / "results"), "--json"]
    answers = {
        command("predict", given, str(clip), *results)[1]
        for given in (str(folder), str(folder / "adapter"), run.record.run_info.run_key[:6])
    }
    assert len(answers) == 1

    (folder / "adapter" / "adapter.safetensors").unlink()
    for given in (folder, folder / "adapter"):
        code, _, err = command("predict", str(given), str(clip))
        assert (code, err.count("\n")) == (2, 1)
        assert "adapter.safetensors: the adapter is damaged: there is no such file" in err

    without = filed(ResultsTree(tmp_path / "bare"), FinishedRun(run.record, run.epochs, run.predictions))
    code, _, err = command("predict", str(without), str(clip))
    assert (code, err.count("\n")) == (2, 1)
    assert "its adapter was not saved; train the run again with petl-bench run --save-adapters --force" in err


def test_tensors_of_another_model_are_named(out: Path, tmp_path: Path) -> None:
    adapter = read_adapter(out)
    tensors = {**adapter.tensors, "head.weight": np.zeros((3, 128), np.float32)}
    write_adapter(tmp_path / "other", SavedAdapter(adapter.config, tensors))
    with pytest.raises(UserError, match=r"other: tensor head.weight is \(3, 128\), the model has \(10, 128\)"):
        load_model(tmp_path / "other")
