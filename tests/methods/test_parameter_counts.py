"""Trainable parameters at full size, against the counts of the released code (AST-base, 500 frames)."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from transformers import ASTConfig, ASTModel

from petl_bench.backbones.ast import AST
from petl_bench.methods.base import Method
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.full import Full
from petl_bench.methods.linear import Linear
from petl_bench.methods.lora import Lora

FINAL_NORM = 1_536


@cache
def base_sized() -> AST:
    """AST-base without memory behind its tensors: shapes are all that is counted."""
    with torch.device("meta"):
        return AST.of(ASTModel(ASTConfig()), frames=500)


COUNTS = {
    "linear": (Linear(Linear.Config()), 1_536),
    "full": (Full(Full.Config()), 85_708_032),
    "lora rank 6": (Lora(Lora.Config()), 222_720),
    "lora rank 12": (Lora(Lora.Config(rank=12)), 443_904),
    "conformer k=31": (Conformer(Conformer.Config(kernel_size=31)), 272_256),
    "conformer k=8": (Conformer(Conformer.Config()), 270_048),
}


@pytest.mark.parametrize(("method", "released"), COUNTS.values(), ids=COUNTS)
def test_counts_equal_the_released_code(method: Method, released: int) -> None:
    backbone = base_sized()
    with torch.device("meta"):
        method.attach(backbone)
        backbone.add_head(50)
    try:
        roles = backbone.parameters_by_role()
        surplus = method.published_surplus(backbone.geometry)
        assert sum(roles.values()) - roles["head"] + surplus == released
        assert backbone.trained_in_final_norm() == FINAL_NORM
        assert roles["head"] == 50 * 768 + 50
        assert sum(p.numel() for p in backbone.trained_parameters()) == sum(roles.values())
    finally:
        backbone.detach()
    assert backbone.total_parameters() == 85_708_032
