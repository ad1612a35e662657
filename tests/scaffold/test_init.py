"""``init`` makes a study that works as it stands: its cards are read, its method keeps the contract, its clips are run."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_bench.errors import UserError
from petl_bench.scaffold.make import make_study
from tests.studies import Command


def audio(folder: Path, labels: int = 2, clips: int = 6, seconds: float = 0.7) -> Path:
    """A folder of tones per label."""
    for label in range(labels):
        (folder / f"tone {label}").mkdir(parents=True)
        for clip in range(clips):
            samples = np.sin(np.arange(int(16_000 * seconds)) * (0.05 + 0.1 * label + 0.003 * clip))
            soundfile.write(folder / f"tone {label}" / f"{clip}.wav", 0.3 * samples, 16_000)
    return folder


def test_its_cards_are_read_and_its_clips_are_run(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = command("init", str(tmp_path / "my-tones"), "--clips", str(audio(tmp_path / "sounds", clips=15)))
    assert code == 0, err
    assert "data verify my-tones" in out
    monkeypatch.chdir(tmp_path / "my-tones")
    monkeypatch.delenv("PETL_BENCH_DATA", raising=False)
    assert command("validate")[0] == 0
    assert "frames = 70" in Path("benchmarks/my-tones.toml").read_text()
    arguments = ("--dataset", "my-tones", "--backbone", "mini", "--epochs", "1", "--folds", "1")
    code, out, err = command("run", "--methods", "rescale,conformer-wide", *arguments, "--executor", "in_process")
    assert code == 0, out + err
    code, out, err = command("sweep", "question", "--plan", "--quick")
    assert code == 0, out + err
    assert "3 combinations, 30 runs" in out


def test_a_table_has_a_line_per_clip_and_the_clips_stay_where_they_are(tmp_path: Path) -> None:
    sounds = audio(tmp_path / "sounds", clips=2)
    make_study(tmp_path / "study", sounds)
    folder = tmp_path / "study" / "data" / "study"
    with (folder / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"path": "audio/tone 0/0.wav", "label": "tone 0"}
    assert len(rows) == 4
    assert all((folder / row["path"]).is_file() for row in rows)
    assert (folder / "audio").resolve() == sounds.resolve()


def test_without_clips_the_table_waits_for_them(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("init", str(tmp_path / "empty"))
    assert code == 0
    assert (tmp_path / "empty" / "data" / "empty" / "clips.csv").read_text() == "path,label\n"
    assert "a line for each" in out


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: (root / "study").mkdir() or (root / "study" / "mine").write_text("x"), "not empty"),
        (lambda root: None, "no such folder"),
        (lambda root: audio(root / "sounds", labels=1), "6 audio files, all in tone 0, which"),
        (lambda root: (root / "sounds").mkdir(), "0 audio files; give"),
        (lambda root: audio(root / "sounds") and (root / "sounds" / "loose.wav").write_bytes(b""), "no label's folder"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(prepare, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    prepare(tmp_path)
    with pytest.raises(UserError, match=message):
        make_study(tmp_path / "study", tmp_path / "sounds")
    assert not (tmp_path / "study" / "README.md").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my study", "bird-calls"),
        ("birds.toml", r"leave \.toml away"),
        ("birds.py", r"leave \.py away"),
        ("esc10", "esc10 is one of the built-in benchmarks"),
        ("lora", "lora is one of the built-in methods"),
        ("mini", "mini is one of the built-in backbones"),
        ("wavlm", "wavlm is one of the built-in backbones"),
    ],
)
def test_a_name_that_cannot_be_a_cards_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        make_study(tmp_path / name, None)
    assert not (tmp_path / name).exists()
