"""Small checkpoints of models of waveforms, and clips of several lengths for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2FeatureExtractor

from petl_bench.backbones.waveform import Waveform
from petl_bench.runspec import WaveformFeatures
from petl_bench.testing.trials import FAMILIES

NAMES = [name for name in FAMILIES if name != "ast"]
LENGTHS = (16_240, 9_000, 16_000)
FRAMES = 100


def save_checkpoint(
    folder: Path, cls: type[Waveform], *, pre_norm: bool, normalises: bool = True, **config: Any
) -> Any:
    """A random model in a folder as transformers saves it, with a feature extractor beside it; the model."""
    settings = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "feat_extract_norm": "layer" if pre_norm else "group",
        "do_stable_layer_norm": pre_norm,
        "initializer_range": 0.2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = cls.model_class(cls.config_class(**{**settings, **config})).eval()
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=normalises, return_attention_mask=pre_norm).save_pretrained(folder)
    return model


def clips() -> torch.Tensor:
    """Three clips of noise with an offset, ``[3, samples]``, NaN behind the end of the shorter ones."""
    samples = 0.1 * torch.randn(3, *WaveformFeatures(frames=FRAMES).shape, generator=torch.Generator().manual_seed(0))
    for clip, length in zip(samples, LENGTHS, strict=True):
        clip[length:] = torch.nan
    return samples + 0.05


def extracted(folder: Path, waveforms: torch.Tensor, *, mask: bool) -> dict[str, torch.Tensor]:
    """What transformers' own feature extractor makes of clips."""
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    inputs: dict[str, torch.Tensor] = extractor(
        [clip[~clip.isnan()].numpy() for clip in waveforms],
        padding="max_length",
        max_length=waveforms.shape[1],
        sampling_rate=16_000,
        return_attention_mask=mask,
        return_tensors="pt",
    )
    return dict(inputs)
