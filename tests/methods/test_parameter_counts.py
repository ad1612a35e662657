"""Trainable parameters at full size, against the counts of the released code (AST-base, 500 frames)."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from transformers import ASTConfig, ASTModel

from petl_bench.backbones.ast import AST
from petl_bench.methods.adaptformer import Adaptformer
from petl_bench.methods.base import Method
from petl_bench.methods.bitfit import Bitfit
from petl_bench.methods.bottleneck import Bottleneck
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.convpass import Convpass
from petl_bench.methods.full import Full
from petl_bench.methods.layernorm import Layernorm
from petl_bench.methods.linear import Linear
from petl_bench.methods.lora import Lora
from petl_bench.methods.mambadapter import Mambadapter
from petl_bench.methods.moa import Moa
from petl_bench.methods.placement import Placement
from petl_bench.methods.prefix import Prefix
from petl_bench.methods.prompt import Prompt
from petl_bench.methods.ssf import Ssf


@cache
def base_sized() -> AST:
    """AST-base without memory behind its tensors: shapes are all that is counted."""
    with torch.device("meta"):
        return AST.of(ASTModel(ASTConfig()), frames=500)


MHSA = Placement(location="mhsa")
HOULSBY = Placement(location="houlsby")
COUNTS: dict[str, tuple[Method, int, int]] = {
    "linear": (Linear(Linear.Config()), 1_536, 0),
    "full": (Full(Full.Config()), 85_708_032, 85_706_496),
    "bitfit": (Bitfit(Bitfit.Config()), 102_144, 101_376),
    "lora rank 6": (Lora(Lora.Config()), 222_720, 221_184),
    "lora rank 12": (Lora(Lora.Config(rank=12)), 443_904, 442_368),
    "prefix 24": (Prefix(Prefix.Config()), 222_720, 221_184),
    "deep prompts 25": (Prompt(Prompt.Config()), 231_936, 230_400),
    "shallow prompts 300": (Prompt(Prompt.Config(tokens=300, deep=False)), 231_936, 230_400),
    "bottleneck": (Bottleneck(Bottleneck.Config()), 250_512, 248_976),
    "bottleneck houlsby": (Bottleneck(Bottleneck.Config(placement=HOULSBY)), 499_488, 497_952),
    "conformer k=31": (Conformer(Conformer.Config(kernel_size=31)), 272_256, 270_720),
    "conformer k=31 houlsby": (Conformer(Conformer.Config(kernel_size=31, placement=HOULSBY)), 542_976, 541_440),
    "conformer k=8": (Conformer(Conformer.Config()), 270_048, 268_512),
    "conformer k=8 houlsby": (Conformer(Conformer.Config(placement=HOULSBY)), 538_560, 537_024),
    "soft mixture": (Moa(Moa.Config(placement=MHSA)), 923_640, 922_104),
    "dense mixture": (Moa(Moa.Config(placement=MHSA, routing="dense")), 923_724, 922_188),
    "layernorm": (Layernorm(Layernorm.Config()), 12 * 2 * 1_536 + 1_536, 12 * 2 * 1_536),
}


@pytest.mark.parametrize(("method", "released", "published"), COUNTS.values(), ids=COUNTS)
def test_counts_equal_the_released_code(method: Method, released: int, published: int) -> None:
    count(method, released, published)


NORMS = 12 * 2 * 768
WRITTEN_OUT: dict[str, tuple[Method, int]] = {
    "adaptformer": (Adaptformer(Adaptformer.Config()), 12 * (2 * 768 * 64 + 64 + 768) + NORMS),
    "convpass": (
        Convpass(Convpass.Config(placement=HOULSBY)),
        24 * (2 * 768 * 8 + 8 + 768 + 8 * 8 * 9 + 8) + 2 * NORMS,
    ),
    "ssf": (Ssf(Ssf.Config()), 2 * (12 * (7 * 768 + 3072) + 2 * 768)),
    "mambadapter": (Mambadapter(Mambadapter.Config()), 12 * 2_233 + 768 * 12 + 12 + 12 * 768 + 768 + NORMS),
}
"""Of methods that the released code does not have, written out by hand, without the final norm."""


@pytest.mark.parametrize(("method", "by_hand"), WRITTEN_OUT.values(), ids=WRITTEN_OUT)
def test_counts_are_those_written_out_by_hand(method: Method, by_hand: int) -> None:
    count(method, by_hand + (0 if isinstance(method, Ssf) else 1_536), by_hand)


@pytest.mark.parametrize(("reduction_rate", "thousands"), [(48, 84), (32, 131)])
def test_mambadapters_counts_are_those_of_its_plot(reduction_rate: int, thousands: int) -> None:
    """Read off the released GSC_Scaling.pdf: 84K and 131K, without head and final norm."""
    method = Mambadapter(Mambadapter.Config(reduction_rate=reduction_rate))
    assert method.expected_parameters(base_sized().geometry, 0) - 1_536 == pytest.approx(thousands * 1e3, rel=0.005)


def count(method: Method, released: int, published: int) -> None:
    backbone = base_sized()
    with torch.device("meta"):
        method.attach(backbone)
        backbone.add_head(50)
    try:
        roles = backbone.parameters_by_role()
        surplus = method.published_surplus(backbone.geometry)
        ours = sum(roles.values()) - roles["head"]
        assert ours + surplus == released
        assert ours + surplus - backbone.trained_in_final_norm() == published
        assert ours == method.expected_parameters(backbone.geometry, backbone.total_parameters())
        assert roles["head"] == 50 * 768 + 50
        assert sum(p.numel() for p in backbone.trained_parameters()) == sum(roles.values())
    finally:
        backbone.detach()
    assert backbone.total_parameters() == 85_708_032
