"""The architecture of ``mini`` with random, fixed weights: what pretraining gave is the difference to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from transformers import ASTConfig, ASTModel

from petl_bench.backbones.ast import AST, ATTENTION
from petl_bench.backbones.base import Description

WEIGHTS_SEED = 2104_01778


class MiniRandom(AST):
    """It has learned nothing; hidden states keep their scale through the layers."""

    model_type = None

    @classmethod
    def describe(cls, folder: Path | None) -> Description:
        model = _random_model()
        tensors = sorted(model.state_dict().items())
        weights = [hashlib.sha256(name.encode() + tensor.numpy().tobytes()).hexdigest() for name, tensor in tensors]
        return cls.description(model.config, weights, note="random weights, not pretrained")

    @classmethod
    def load(cls, folder: Path | None, frames: int, position_embeddings: str = "adapted") -> AST:
        return cls.of(_random_model(), frames, position_embeddings)


def _random_model() -> ASTModel:
    config = ASTConfig(
        hidden_size=128,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        patch_size=16,
        frequency_stride=16,
        time_stride=16,
        max_length=512,
        num_mel_bins=128,
        attn_implementation=ATTENTION,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(WEIGHTS_SEED)
        model = ASTModel(config)
        for name, tensor in model.named_parameters():
            if name.endswith(("_token", "position_embeddings")):
                tensor.normal_(std=config.initializer_range)
            elif tensor.dim() > 1:
                tensor.normal_(std=tensor[0].numel() ** -0.5)  # keeps the scale of hidden states through the layers
    return model
