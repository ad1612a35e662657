"""Adapters of models of waveforms leave the house as those of models of log-mel do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from petl_bench.adapters.export import export_run
from petl_bench.adapters.model import Needs, load_model
from petl_bench.adapters.predict import predict_files
from petl_bench.backbones.hubert import Hubert
from petl_bench.backbones.resolve import resolve
from petl_bench.backbones.wav2vec2 import Wav2Vec2
from petl_bench.backbones.waveform import Waveform
from petl_bench.backbones.wavlm import WavLM
from petl_bench.errors import AbsentError
from petl_bench.results import ADAPTER, ResultsTree
from petl_bench.runspec import WaveformFeatures
from tests.adapters.exported import exported, filed, trained, write_clips
from tests.backbones.waveforms import extracted, save_checkpoint

SHORT = ("synthetic.features.frames=100",)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_exported_it_gives_the_runs_test_logits(pre_norm: bool, tmp_path: Path) -> None:
    backbone = tmp_path / "backbone"
    save_checkpoint(backbone, Wav2Vec2, pre_norm=pre_norm)
    changes = {"methods": ("lora",), "backbone": str(backbone), "settings": SHORT}
    own = exported(ResultsTree(tmp_path / "results"), tmp_path / "out", **changes).predictions
    assert (tmp_path / "out" / "peft" / "adapter_config.json").is_file()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "input: samples at 16 kHz mono, 16,240 at most, each clip normalised or not as the checkpoint" in card
    assert "log-mel" not in card
    files = write_clips(trained(**changes)[1], own.test_ids.tolist(), tmp_path / "clips")
    model = load_model(tmp_path / "out", Needs(backbone=str(backbone)))
    answers = list(predict_files(model, [str(file) for file in files]))
    assert np.abs(np.stack([answer.logits for answer in answers]) - own.test_logits).max() < 1e-5


def test_a_backbone_given_by_its_folder_is_found_where_the_run_had_it_from(tmp_path: Path) -> None:
    """This machine knows where; the record and what is exported leave it, and tell no path of it."""
    backbone = tmp_path / "backbone"
    save_checkpoint(backbone, Wav2Vec2, pre_norm=True)
    run = trained(methods=("linear",), backbone=str(backbone), settings=SHORT)[0]
    folder = filed(ResultsTree(tmp_path / "results"), run)
    assert load_model(folder / ADAPTER).config.backbone == "backbone"
    assert export_run(folder, tmp_path / "out") == []
    assert load_model(tmp_path / "out").config.backbone == "backbone"
    written = [path for place in (folder, tmp_path / "out") for path in place.rglob("*") if path.is_file()]
    assert {"run.json", "epochs.jsonl", "config.json", "README.md", "predictions.npz"} <= {
        path.name for path in written
    }
    assert [path for path in written if str(tmp_path).encode() in path.read_bytes()] == []
    backbone.rename(tmp_path / "elsewhere")
    with pytest.raises(AbsentError, match="it was trained on backbone backbone, which --backbone FOLDER gives"):
        load_model(folder / ADAPTER)


@pytest.mark.parametrize(("family", "pre_norm"), [(Wav2Vec2, True), (Hubert, False), (WavLM, True)])
def test_merged_it_is_a_plain_checkpoint_that_is_given_what_the_run_was(
    family: type[Waveform], pre_norm: bool, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "backbone", family, pre_norm=pre_norm)
    run, workbench = trained(methods=("lora",), backbone=str(tmp_path / "backbone"), settings=SHORT)
    merged = tmp_path / "merged"
    assert export_run(filed(ResultsTree(tmp_path / "results"), run), merged, merge=True) == []
    assert {path.name for path in merged.iterdir()} == {
        "config.json", "model.safetensors", "preprocessor_config.json", "head", "README.md",
    }  # fmt: skip
    split = workbench.split(run.record.spec)
    features = run.record.spec.data.features
    assert isinstance(features, WaveformFeatures)
    waveforms = torch.from_numpy(workbench.features(features)[split.test])
    head = load_file(merged / "head" / "head.safetensors")
    plain = AutoModel.from_pretrained(merged)
    inputs = extracted(merged, waveforms, mask=pre_norm)
    with torch.no_grad():
        tokens = plain(**inputs).last_hidden_state
    used = torch.ones(tokens.shape[:2], dtype=torch.bool)
    if pre_norm:
        used = plain._get_feature_vector_attention_mask(tokens.shape[1], inputs["attention_mask"])
    pooled = (tokens * used[..., None]).sum(dim=1) / used.sum(dim=1, keepdim=True)
    logits = pooled @ head["weight"].T + head["bias"]
    wanted = torch.from_numpy(run.predictions.test_logits)
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)
    assert resolve(str(merged)).description.fingerprint != run.record.spec.backbone
    assert json.loads((merged / "head" / "config.json").read_text())["features"]["input"] == "waveform"
