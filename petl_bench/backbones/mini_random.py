"""The architecture of ``mini`` with random, fixed weights.

The difference to it is what the recipe gave: training, its own way to start (Xavier, position embeddings of waves), and
the calibrated final norm.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from transformers import ASTConfig, ASTModel

from petl_bench.backbones.ast import AST, ATTENTION
from petl_bench.backbones.mini import HERE, verify
from petl_bench.backbones.sites import Description

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
    verify("config.json")
    config = ASTConfig.from_pretrained(HERE, local_files_only=True, attn_implementation=ATTENTION)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(WEIGHTS_SEED)
        model = ASTModel(config)
        for name, tensor in model.named_parameters():
            if name.endswith(("_token", "position_embeddings")):
                tensor.normal_(std=config.initializer_range)
            elif tensor.dim() > 1:
                tensor.normal_(std=tensor[0].numel() ** -0.5)  # keeps the scale of hidden states through the layers
    return model
