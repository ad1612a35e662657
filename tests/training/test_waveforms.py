"""Runs on a backbone that takes waveforms: what it is given, what of a card has no meaning for it, the whole way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from petl_bench.backbones.wav2vec2 import Wav2Vec2
from petl_bench.backbones.waveform import Waveform
from petl_bench.benchmarks.features import features_path, read_clip
from petl_bench.canonical import digest
from petl_bench.card_files import built_in_folder
from petl_bench.cards import Augment, Features
from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.registry import BACKBONES
from petl_bench.runspec import RunSpec, WaveformFeatures
from petl_bench.training.diagnosis import diagnose
from petl_bench.training.run import train_run
from tests.backbones.waveforms import NAMES, clips, save_checkpoint
from tests.studies import TINY, Command, plan_of

SHORT = ("synthetic.features.frames=120",)
"""Of which a synthetic clip of one second leaves 3,440 samples to pad."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-wav2vec2")
    save_checkpoint(folder, Wav2Vec2, pre_norm=False)
    return folder


def test_a_waveform_is_what_the_frames_see_with_its_end_marked(checkpoint: Path) -> None:
    plan, workbench = plan_of(replace(TINY, backbone=str(checkpoint), settings=SHORT))
    features = plan[0].spec.data.features
    assert features == WaveformFeatures(frames=120)
    table = workbench.features(features)
    assert table.shape == (len(workbench.dataset.clips), 120 * 160 + 240)
    for number in (0, 3):
        read = read_clip(workbench.dataset.layout, workbench.dataset.clips[number], 120).waveform.numpy()
        assert np.array_equal(table[number][: len(read)], read)
        assert len(read) == 16_000
        assert np.isnan(table[number][16_000:]).all()


def test_keys_of_log_mel_caches_are_as_they_were(checkpoint: Path) -> None:
    _, workbench = plan_of(replace(TINY, backbone=str(checkpoint)))
    dataset = workbench.dataset
    log_mel, waveform = (features_path(dataset, of) for of in (Features(frames=100), WaveformFeatures(frames=100)))
    assert log_mel.stem == digest([1, dataset.fingerprint, 100, 128])
    assert waveform.stem != log_mel.stem
    assert waveform.parent == log_mel.parent


def test_what_a_card_says_of_log_mel_is_no_part_of_the_run(checkpoint: Path) -> None:
    base = replace(TINY, backbone=str(checkpoint))
    (plain, *_), workbench = plan_of(base)
    masked = ("synthetic.augment.time_mask=20", "synthetic.features.bins=64", "synthetic.features.mean=0")
    (same, *_), other = plan_of(replace(base, settings=masked))
    assert same.key == plain.key
    assert same.spec.data.augment == Augment()
    assert RunSpec.model_validate_json(plain.spec.model_dump_json()) == plain.spec
    off = f"backbone {checkpoint.name} takes waveforms: the SpecAugment of synthetic is off"
    assert off in other.notes()
    assert workbench.notes_on_input() == []
    with pytest.raises(UserError, match="normalisation=training is of log-mel values"):
        plan_of(replace(base, switches=("normalisation=training",)))


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_run_from_frozen_states_is_the_run(tmp_path: Path, name: str, pre_norm: bool) -> None:
    cls: type[Waveform] = BACKBONES.load(name).cls
    save_checkpoint(tmp_path / "tiny", cls, pre_norm=pre_norm)
    settings = (*SHORT, "conformer.reduction_rate=8", "conformer.placement.layers=last:1")
    methods = ("linear", "conformer")
    plan, workbench = plan_of(replace(TINY, methods=methods, backbone=str(tmp_path / "tiny"), settings=settings))
    for planned, layers in zip(plan, (3, 2), strict=True):
        frozen = train_run(planned, workbench)
        whole = train_run(planned, workbench, execution=Execution(frozen_states=False))
        assert frozen.record.meta_info.system_info["frozen_layers"] == layers
        np.testing.assert_allclose(frozen.predictions.test_logits, whole.predictions.test_logits, atol=2e-4, rtol=1e-3)


def test_the_command_on_a_checkpoint(command: Command, checkpoint: Path, tmp_path: Path) -> None:
    where = ("--dataset", "synthetic", "--backbone", str(checkpoint), "--folds", "1", "--limit", "2")
    training = ("--epochs", "1", "--results", str(tmp_path / "results"), "--executor", "in_process")
    tuned = ("--set", "bottleneck.reduction_rate=8", "--set", "synthetic.augment.time_mask=20")
    code, out, _ = command("run", "--methods", "linear,bottleneck,prefix", *where, *training, *tuned)
    assert code == 0, out
    assert "takes waveforms: the SpecAugment of synthetic is off" in " ".join(out.split())
    records = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("run.json")]
    assert len(records) == 3
    for record in records:
        assert record["spec"]["data"]["features"] == {"input": "waveform", "frames": 100}
        assert record["meta_info"]["model_info"]["input"] == "waveform"
    code, out, _ = command("leaderboard", "--results", str(tmp_path / "results"))
    assert code == 0
    assert checkpoint.name in out


def test_padding_is_no_fault_of_the_input(checkpoint: Path) -> None:
    backbone = Wav2Vec2.load(checkpoint, 100)
    backbone.add_head(3)
    assert backbone.head is not None
    backbone.head.weight.data[0, 0] = np.nan
    assert diagnose(backbone, clips(), 3) == "head.weight is not finite after the update of step 3"
    spoilt = clips()
    spoilt[0, 0] = np.inf
    assert diagnose(backbone, spoilt, 3) == "the input features hold values that are not finite"


def test_a_plan_says_that_masks_are_off(command: Command, checkpoint: Path) -> None:
    for folder in ("benchmarks", "sweeps"):
        Path(folder).mkdir()
    synthetic = (built_in_folder("benchmarks") / "synthetic.toml").read_text()
    Path("benchmarks/masked.toml").write_text(f"{synthetic}\n[augment]\ntime_mask = 20\n")
    study = 'title = "Ranks"\nbenchmarks = ["masked"]\nmethods = ["lora"]\n[grid]\nrank = [2, 4]\n'
    Path("sweeps/ranks.toml").write_text(f"{study}[question]\nbaseline = {{ rank = 2 }}\n")
    code, out, err = command("sweep", "ranks", "--plan", "--backbone", str(checkpoint), "--limit", "2", "--epochs", "1")
    assert (code, err) == (0, "")
    assert f"backbone {checkpoint.name} takes waveforms: the SpecAugment of masked is off" in " ".join(out.split())
