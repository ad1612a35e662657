"""What the folder of a model of waveforms says: its settings, its sizes, and how it wants its clips."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from petl_bench.backbones.sites import Geometry
from petl_bench.cards import RATE, SHIFT, WINDOW
from petl_bench.errors import UserError

TRUNK = ("feature_extractor", "feature_projection", "encoder")
"""What of a checkpoint is used. Heads, quantisers and the embedding of masked frames are left out."""

OFF = (
    "hidden_dropout",
    "attention_dropout",
    "activation_dropout",
    "feat_proj_dropout",
    "layerdrop",
    "mask_time_prob",
    "mask_feature_prob",
)
"""What would make training random beyond a run's own streams: dropouts, LayerDrop, masks over frames and channels."""

SETTINGS = (
    "model_type",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "do_stable_layer_norm",
    "feat_extract_norm",
    "feat_extract_activation",
    "feat_proj_layer_norm",
    "conv_dim",
    "conv_kernel",
    "conv_stride",
    "conv_bias",
    "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
    "adapter_attn_dim",
    "num_buckets",
    "max_bucket_distance",
)
"""What of a configuration changes a model's numbers, where the model has it."""


def config_of(config_class: Any, folder: Path) -> Any:
    """The folder's configuration with all that is random turned off. Raises UserError where it is not supported."""
    config = config_class.from_pretrained(folder, local_files_only=True)
    if min(config.num_hidden_layers, config.hidden_size, config.num_attention_heads) < 1:
        raise ValueError("it needs at least one layer, one channel and one head")
    for name in ("add_adapter", "conv_pos_batch_norm"):
        if getattr(config, name, False):
            raise UserError(f"--backbone {folder}: models with {name} = true are not supported")
    return without_chance(config)


def without_chance(config: Any) -> Any:
    """A configuration with all turned off that would make training random."""
    for name in OFF:
        setattr(config, name, 0.0)
    return config


def geometry_of(config: Any) -> Geometry:
    """Sizes by a configuration."""
    samples = 1
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        samples = (samples - 1) * stride + kernel
    return Geometry(
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        bins=0,
        patch=max(1, math.ceil((samples - WINDOW) / SHIFT) + 1),
        token_fan_in=config.conv_dim[-1],
        special_tokens=(),
        input="waveform",
    )


def normalises_clips(folder: Path) -> bool:
    """Whether clips are normalised, by preprocessor_config.json. Raises UserError where it does not say."""
    file = folder / "preprocessor_config.json"
    try:
        settings = json.loads(file.read_text("utf-8"))
        normalises, rate = settings["do_normalize"], settings.get("sampling_rate", RATE)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--backbone {folder}: no preprocessor_config.json in it that says whether clips are normalised "
            "(do_normalize): get the checkpoint's own"
        ) from error
    if rate != RATE:
        raise UserError(f"--backbone {folder}: made for audio of {rate:,} Hz, clips are read at {RATE:,} Hz")
    return bool(normalises)


def is_no_trunk(prefix: str) -> Callable[[str], bool]:
    """Whether a tensor's name, with or without the model's ``prefix``, lies outside of what is used."""
    return lambda name: name.removeprefix(f"{prefix}.").partition(".")[0] not in TRUNK
