"""Checkpoints of models of waveforms: what is understood, what is refused, and what their fingerprint holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2ForCTC

from petl_bench.backbones.resolve import resolve
from petl_bench.backbones.wav2vec2 import Wav2Vec2
from petl_bench.backbones.waveform import Waveform
from petl_bench.errors import UserError
from tests.backbones.waveforms import FRAMES, clips, save_checkpoint


def loaded(folder: Path) -> Waveform:
    source = resolve(str(folder))
    return source.cls.load(source.folder, FRAMES)  # type: ignore[return-value]


def test_heads_and_old_names_of_weight_norm_are_understood(tmp_path: Path) -> None:
    plain, tuned = tmp_path / "plain", tmp_path / "tuned"
    model = save_checkpoint(plain, Wav2Vec2, pre_norm=False)
    save_checkpoint(tuned, Wav2Vec2, pre_norm=False)
    with torch.random.fork_rng(devices=[]):
        with_head = Wav2Vec2ForCTC(model.config)
    with_head.wav2vec2.load_state_dict(model.state_dict())
    with_head.save_pretrained(tuned)
    tensors = load_file(tuned / "model.safetensors")
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    for new, name in old.items():
        tensors = {key.replace(new, name): tensor for key, tensor in tensors.items()}
    assert any(key.endswith("weight_g") for key in tensors)
    save_file(tensors, tuned / "model.safetensors", {"format": "pt"})
    with torch.no_grad():
        ours, theirs = (Wav2Vec2.load(folder, FRAMES).tokens(clips()) for folder in (tuned, plain))
    assert torch.equal(ours, theirs)


def without_preprocessor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def at_8_khz(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 8_000}))


def with_adapter(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "add_adapter": True}))


def without_layers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("encoder.layers.2.")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_preprocessor, "no preprocessor_config.json in it that says whether clips are normalised"),
        (at_8_khz, "made for audio of 8,000 Hz, clips are read at 16,000 Hz"),
        (with_adapter, "models with add_adapter = true are not supported"),
        (without_layers, "the checkpoint lacks 16 tensors of its config, encoder.layers.2"),
    ],
)
def test_what_is_no_checkpoint_of_the_family_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    save_checkpoint(tmp_path, Wav2Vec2, pre_norm=False)
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        loaded(tmp_path)


def test_whether_clips_are_normalised_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for normalises in (False, True):
        save_checkpoint(tmp_path, Wav2Vec2, pre_norm=False, normalises=normalises)
        prints.add(resolve(str(tmp_path)).description.fingerprint)
    assert len(prints) == 2


def test_a_family_named_without_a_checkpoint_is_told_an_example() -> None:
    with pytest.raises(UserError, match="for example microsoft/wavlm"):
        resolve("wavlm")
