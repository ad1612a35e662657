"""``data verify``: what it says of a copy, and that it says nothing of a good one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.benchmarks.test_duplicates import sound
from tests.studies import Command


def write(path: str, samples: np.ndarray, rate: int = 16_000) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def clips(rows: list[str], header: str = "path,label,group") -> None:
    """A manifest of clips of half a second and its card; a clip is a recording of its own unless it is there already."""
    Path("benchmarks").mkdir(exist_ok=True)
    Path("benchmarks/mine.toml").write_text(
        'layout = "manifest"\ntitle = "x"\n[protocol]\nfolds = 2\nvalidation = "held_out"\nheld_out = 0.5\n[features]\nframes = 100\n'
    )
    Path("data/mine").mkdir(parents=True, exist_ok=True)
    Path("data/mine/clips.csv").write_text("\n".join([header, *rows]) + "\n")
    for at, row in enumerate(rows):
        path = f"data/mine/{row.partition(',')[0]}"
        if not Path(path).exists():
            write(path, sound("rain", at, seconds=1.0))


GOOD = [f"{label}{at}.wav,{label},{label}{at}" for label in "ab" for at in range(4)]


def verify(command: Command) -> tuple[int, dict[str, Any], str]:
    """Exit code, what JSON says and what a person reads."""
    code, out, _ = command("data", "verify", "mine")
    again, text, _ = command("data", "verify", "mine", "--json")
    assert code == again
    return code, json.loads(text), out


def test_a_good_copy_is_described_and_nothing_is_wrong_with_it(command: Command) -> None:
    clips(GOOD)
    code, found, out = verify(command)
    assert code == 0
    assert found["is_well"]
    assert (found["clips"], found["classes"], found["places"]) == (8, 2, {"fold 1": 4, "fold 2": 4})
    assert found["rates"] == {"16000": 8}
    assert found["seconds"] == pytest.approx(8)
    assert found["folder"] == "data/mine"
    assert "mine: 8 clips in data/mine" in out
    assert out.endswith("\nno problems found\n")


def test_what_will_be_converted_is_said_and_no_problem(command: Command) -> None:
    write("data/mine/a0.wav", sound("rain", 100, 1.0), 44_100)
    write("data/mine/a1.wav", np.stack([sound("rain", 101, 2.0), sound("rain", 102, 2.0)], axis=1))
    write("data/mine/b0.wav", np.zeros(16_000))
    write("data/mine/b1.wav", np.zeros(16_000))
    clips(GOOD)
    code, found, out = verify(command)
    assert code == 0, "silent clips are legal, and not one recording because they are alike"
    assert (found["silent"], found["longer"], found["shorter"]) == (["b0.wav", "b1.wav"], ["a1.wav"], ["a0.wav"])
    assert found["channels"] == {"1": 7, "2": 1}
    for line in (
        r"rates +16,000 Hz: 7 clips, 44,100 Hz: 1 clip, resampled to 16,000 Hz",
        r"channels +1 clip with more than one, which are averaged",
        r"longer +1 clip, cut to 1.0 s \(a1.wav\)",
        r"shorter +1 clip, padded to 1.0 s \(a0.wav\)",
        r"silent +2 clips \(b0.wav, b1.wav\)",
    ):
        assert re.search(rf"^  {line}$", out, re.MULTILINE), line


def test_missing_and_broken_clips_are_named(command: Command) -> None:
    clips(GOOD)
    Path("data/mine/a0.wav").unlink()
    whole = Path("data/mine/b1.wav").read_bytes()
    Path("data/mine/b1.wav").write_bytes(whole[:-100])
    Path("data/mine/b2.wav").write_text("no audio")
    Path("data/mine/b3.wav").unlink()
    Path("data/mine/b3.wav").mkdir()
    write("data/mine/a3.wav", sound("rain", 7, 1.0)[:300])
    code, found, out = verify(command)
    assert code == 1
    assert found["missing"] == ["a0.wav"]
    assert sorted(found["broken"]) == ["a3.wav", "b1.wav", "b2.wav", "b3.wav"]
    assert "missing: 1 clip; get the data set again, or take the rows out of its table\n  a0.wav\n" in out
    assert "not usable: 4 clips; replace the files" in out
    for line in ("b1.wav is cut short", "b2.wav cannot be decoded", "b3.wav is not a file", "a3.wav lasts 19 ms"):
        assert line in out


def test_one_recording_in_two_groups_is_a_problem_and_in_one_is_none(command: Command) -> None:
    rain = sound("rain", 50, 1.0)
    write("data/mine/a0.wav", rain)
    write("data/mine/a1.wav", 0.5 * np.concatenate([np.zeros(3_000, np.float32), rain])[:16_000])
    write("data/mine/a2.wav", rain)
    clips(GOOD)
    code, found, out = verify(command)
    assert code == 1
    assert [(pair["first"], pair["second"]) for pair in found["same"]] == [("a0.wav", "a2.wav"), ("a0.wav", "a1.wav")]
    assert [pair["copy"] for pair in found["same"]] == [True, False]
    assert re.search(r"^  a0.wav  a2.wav  one file, (both in fold \d|fold \d and fold \d)$", out, re.MULTILINE)
    assert re.search(r"^  a0.wav  a1.wav  \d+% alike, \+0.19 s, ", out, re.MULTILINE)
    assert "one recording in two groups, or under two labels: 2 pairs; give both one\ngroup" in out
    one = [row if row[:2] not in ("a0", "a1", "a2") else row.rpartition(",")[0] + ",one" for row in GOOD]
    clips([*one, *(f"{label}{at}.wav,{label},{label}{at}" for label in "ab" for at in range(4, 12))])
    assert verify(command)[0] == 0


def test_one_recording_under_two_labels_is_a_problem(command: Command) -> None:
    write("data/mine/a0.wav", sound("rain", 50, 1.0))
    write("data/mine/b0.wav", sound("rain", 50, 1.0))
    clips([row if row[1] != "0" else row.rpartition(",")[0] + ",same" for row in GOOD])
    code, found, _ = verify(command)
    assert code == 1
    assert found["same"][0]["where"].endswith("labels a and b")
    assert found["parted"] == []


def test_groups_in_two_folds_are_a_problem(command: Command) -> None:
    rows = [
        f"{label}{at}.wav,{label},{'shared' if at < 2 else label + str(at)},{at % 2 + 1}"
        for label in "ab"
        for at in range(4)
    ]
    clips(rows, "path,label,group,fold")
    code, found, out = verify(command)
    assert code == 1
    assert found["parted"] == ["shared"]
    assert "in more than one fold or list: 1 group; what is tested was trained on\n  shared\n" in out


def test_many_findings_are_cut_short_for_a_person_and_whole_in_json(command: Command) -> None:
    clips([f"{label}{at}.wav,{label},{label}{at}" for label in "ab" for at in range(10)])
    for at in range(7):
        for label in "ab":
            Path(f"data/mine/{label}{at}.wav").unlink()
    code, found, out = verify(command)
    assert code == 1
    assert len(found["missing"]) == 14
    assert out.count(".wav\n") == 10
    assert "  ... and 4 more; --json lists all\n" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_folds_that_cannot_be_made_or_lack_a_class_are_a_problem(command: Command) -> None:
    clips(GOOD[:6])
    code, found, out = verify(command)
    assert code == 1
    assert found["splits"] == [
        "mine: fold 1 has no train clip of b",
        "mine: fold 2 has no validation clip of b",
    ]
    assert "folds: 2 problems; more clips of these classes help, and\n" in out
    clips(GOOD[:2] + GOOD[4:6])
    code, found, out = verify(command)
    assert code == 1
    assert len(found["splits"]) == 1
    assert all(len(line) <= 80 for line in out.splitlines())


def test_a_table_that_is_wrong_is_a_mistake(command: Command) -> None:
    clips(GOOD)
    Path("data/mine/clips.csv").write_text("path,label\n../x.wav,a\n")
    code, _, err = command("data", "verify", "mine")
    assert code == 2
    assert "does not stand below the folder" in err
    assert command("data", "verify", "mine", "--data-dir", "nowhere")[0] == 2


def test_generated_clips_can_be_verified(command: Command) -> None:
    Path("benchmarks").mkdir()
    Path("benchmarks/tones.toml").write_text(
        'layout = "synthetic"\ntitle = "x"\nclasses = ["tone_falling", "tone_rising"]\n[protocol]\nfolds = 5\n'
        'validation = "previous_fold"\n[features]\nframes = 100\n'
    )
    code, out, _ = command("data", "verify", "tones")
    assert code == 0
    assert "no problems found" in out


@pytest.mark.slow
def test_the_real_esc10_holds_three_pairs_that_are_one_recording(command: Command, shared_data: Path) -> None:
    code, out, _ = command("data", "verify", "esc10", "--data-dir", str(shared_data / "ESC-10"), "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["missing"], found["broken"], found["parted"], found["silent"]) == ([], {}, [], [])
    assert {(pair["first"], pair["second"], pair["where"]) for pair in found["same"]} == {
        ("2-28314-A-12.ogg", "2-30322-A-12.ogg", "both in fold 2"),
        ("2-28314-B-12.ogg", "2-30322-B-12.ogg", "both in fold 2"),
        ("3-151080-A-20.ogg", "5-151085-A-20.ogg", "fold 3 and fold 5"),
    }
