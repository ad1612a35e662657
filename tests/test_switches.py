"""Profiles and the switches in them: each does what it says, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from petl_bench.backbones.mini import Mini
from petl_bench.canonical import canonical
from petl_bench.cards import AUDIOSET_MEAN, AUDIOSET_STD
from petl_bench.errors import UserError
from petl_bench.methods.base import Method
from petl_bench.methods.bottleneck import Bottleneck
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.full import Full
from petl_bench.methods.linear import Linear
from petl_bench.methods.lora import Lora
from petl_bench.plan import Request, choose
from petl_bench.switches import PROFILES, Switches, describe_switches, profile_of
from petl_bench.training.inputs import normalisation
from tests.studies import TINY, plan_of


def switches_of(**changes: object) -> Switches:
    return choose(replace(Request(("linear",), "synthetic"), **changes)).switches  # type: ignore[arg-type]


def test_a_profile_is_named_and_a_mixed_set_is_custom() -> None:
    assert switches_of() == PROFILES["corrected"] == Switches()
    assert switches_of(profile="published") == PROFILES["published"]
    mixed = switches_of(profile="published", switches=("checkpoint=best", "train_norms=false"))
    assert (profile_of(PROFILES["published"]), profile_of(mixed)) == ("published", "custom")
    assert mixed == PROFILES["published"].model_copy(update={"checkpoint": "best", "train_norms": False})
    assert switches_of(switches=("init=zero",)).init == "zero"
    assert describe_switches(switches_of(switches=("init=zero",))) == "init = zero"


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ("init", r"--switch: init = '': input should be 'method', 'released' or 'zero'"),
        (
            "int=zero",
            r"--switch 'int=zero' \(did you mean 'init'\?\): give NAME=VALUE, NAME one of position_embeddings, ",
        ),
        ("checkpoint=first", "--switch: checkpoint = 'first': input should be 'best' or 'last'"),
        ("train_norms=7", "--switch: train_norms = 7: input should be a valid boolean"),
    ],
)
def test_an_unknown_switch_is_one_clear_line(switch: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        switches_of(switches=(switch,))


def test_what_joined_later_is_left_out_of_old_keys() -> None:
    assert canonical(Switches()) == {"position_embeddings": "adapted", "checkpoint": "best"}
    assert canonical(Conformer.Config()) == {"reduction_rate": 96, "kernel_size": 8}
    assert canonical(Lora.Config()) == {"rank": 6, "alpha": 16.0, "targets": ["q", "v"]}
    assert canonical(Linear.Config()) == canonical(Full.Config()) == {}
    assert canonical(Conformer.Config(norm="layer", pooling="cls")).keys() == {
        "reduction_rate",
        "kernel_size",
        "norm",
        "pooling",
    }


def attached(method: Method) -> dict[str, torch.Tensor]:
    """The method's own tensors, as it initialises them."""
    backbone = Mini.load(None, frames=100)
    torch.manual_seed(0)
    method.attach(backbone)
    return dict(backbone.attachments.named_parameters())


def test_lora_starts_with_a_zero_side_or_as_released() -> None:
    for init, zero in (("method", True), ("zero", True), ("released", False)):
        tensors = attached(Lora(Lora.Config(rank=32), Switches(init=init)))  # type: ignore[arg-type]
        up, down = tensors["layer0_q_lora.up"], tensors["layer0_q_lora.down"]
        assert (up.abs().max() == 0) == zero
        if not zero:
            assert (up.std().item(), down.std().item()) == pytest.approx((0.02, 0.02), rel=0.05)


def test_bottleneck_starts_with_a_zero_side_or_as_released() -> None:
    for init, zero in (("method", True), ("zero", True), ("released", False)):
        tensors = attached(Bottleneck(Bottleneck.Config(reduction_rate=2), Switches(init=init)))  # type: ignore[arg-type]
        assert (tensors["layer0_ffn_bottleneck.up.weight"].abs().max() == 0) == zero
        assert tensors["layer0_ffn_bottleneck.up.bias"].abs().max() == 0
        if not zero:
            stds = [tensors[f"layer0_ffn_bottleneck.{side}.weight"].std().item() for side in ("down", "up")]
            assert stds == pytest.approx([0.02, 0.02], rel=0.05)
            assert tensors["layer0_ffn_bottleneck.down.bias"].abs().max() == 0


def test_the_conformer_keeps_torchs_initialisation_unless_it_is_zero() -> None:
    config = Conformer.Config(reduction_rate=16)
    own, released, zero = (attached(Conformer(config, Switches(init=init))) for init in ("method", "released", "zero"))  # type: ignore[arg-type]
    assert all(torch.equal(own[name], released[name]) for name in own)
    up = {"layer0_ffn_conformer.up.weight", "layer0_ffn_conformer.up.bias"}
    assert {name for name in own if "layer0" in name and not torch.equal(own[name], zero[name])} == up
    assert all(zero[name].abs().max() == 0 for name in up)


def test_lora_scale_follows_the_switch() -> None:
    """alpha / rank = 16 / 6; alpha / reduction rate = 16 / 128 at AST's hidden size, 16 / (128 / 6) at mini's."""
    geometry = Mini.load(None, frames=100).geometry
    config = Lora.Config(rank=6, alpha=16)
    assert Lora(config).scale(geometry) == 16 / 6
    released = Lora(config, Switches(lora_scale="reduction_rate"))
    assert released.scale(geometry) == pytest.approx(0.75)
    assert released.scale(replace(geometry, hidden_size=768)) == 16 / 128


def test_normalisation_follows_the_switch() -> None:
    given = ("synthetic.features.mean=-1.5", "synthetic.features.std=2.5")
    found = {}
    for name in ("card", "audioset", "training"):
        plan, workbench = plan_of(replace(TINY, settings=given, switches=(f"normalisation={name}",)))
        split = workbench.split(plan[0].spec)
        found[name] = normalisation(plan[0].spec, workbench, split)
    values = np.array(workbench.features(plan[0].spec.data.features))[split.train].astype(np.float64)
    assert found["card"] == (-1.5, 2.5)
    assert found["audioset"] == (AUDIOSET_MEAN, AUDIOSET_STD)
    assert found["training"] == pytest.approx((values.mean(), values.std()), rel=1e-9)
