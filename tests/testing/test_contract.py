"""The conformance kit: shipped methods keep it, broken ones are caught by exactly the rule they break."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from petl_bench.backbones.base import Backbone
from petl_bench.card_files import card_files
from petl_bench.methods.base import Method
from petl_bench.switches import PROFILES, Switches
from petl_bench.testing import Finding, MethodContract
from tests.testing.broken import BROKEN, Sound

VARIANTS: list[tuple[str, dict[str, Any], Switches]] = [
    ("conformer", {"norm": "group", "reduction_rate": 16}, Switches()),
    ("conformer", {"norm": "layer", "reduction_rate": 16}, Switches()),
    ("conformer", {"placement.form": "sequential", "placement.location": "both"}, Switches(init="zero")),
    ("bottleneck", {"placement": {"form": "sequential", "residual": True, "layers": "last:2"}}, Switches()),
    ("lora", {"targets": ["q", "k", "v", "o", "fc1", "fc2"], "layers": [0, 5], "pooling": "cls+dist"}, Switches()),
    ("prompt_deep", {"tokens": 3, "pooling": "prompts"}, Switches(distillation_token="dropped")),
    ("prefix", {"tokens": 2, "layers": "every:3"}, Switches(train_norms=False)),
    ("moa_soft", {"slots": 2, "normalise": True}, Switches(init="released")),
    ("adaptformer", {"layernorm": "out", "learnable_scale": True}, Switches()),
]
MORE_VARIANTS: list[tuple[str, dict[str, Any], Switches]] = [
    ("conformer", {"norm": "group", "reduction_rate": 48}, Switches()),
    ("conformer", {"norm": "none", "kernel_size": 31}, Switches(init="zero")),
    ("bottleneck", {"placement.position": "after", "placement.location": "mhsa", "pooling": "cls"}, Switches()),
    ("prompt_shallow", {"tokens": 3, "pooling": "cls+dist"}, Switches()),
    ("bitfit", {"layers": "first:1"}, Switches()),
    ("linear", {}, Switches(train_norms=False)),
]
QUICK: dict[str, dict[str, Any]] = {"prompt_shallow": {"tokens": 8}}
"""Fewer tokens than the card's, which make attention slow and nothing else different."""
SHIPPED = [(name, QUICK.get(name, {}), PROFILES["corrected"]) for name in card_files("methods")]
AS_PUBLISHED = [(name, {}, PROFILES["published"]) for name in ("lora", "bottleneck", "prompt_deep")]
"""Methods whose code looks at the switches."""


def contract(method: str | type[Method], settings: dict[str, Any], switches: Switches) -> MethodContract:
    attributes = {"method": method, "settings": settings, "switches": switches}
    made: MethodContract = type("Contract", (MethodContract,), attributes)()
    return made


def violated(findings: list[Finding]) -> dict[str, str]:
    return {finding.rule: finding.detail for finding in findings if finding.outcome == "violated"}


EXHAUSTIVE = [pytest.param(*variant, marks=pytest.mark.exhaustive) for variant in MORE_VARIANTS]


@pytest.mark.parametrize(("name", "settings", "switches"), [*SHIPPED, *AS_PUBLISHED, *VARIANTS, *EXHAUSTIVE])
def test_shipped_methods_keep_the_contract(name: str, settings: dict[str, Any], switches: Switches) -> None:
    findings = list(contract(name, settings, switches).findings())
    assert len(findings) == len(MethodContract.rules())
    assert not violated(findings)


@pytest.mark.parametrize("method", BROKEN)
def test_a_broken_method_is_caught_by_the_rule_it_breaks(method: type[Method]) -> None:
    assert violated(list(contract(method, {}, Switches()).findings())).keys() == {BROKEN[method]}


def test_every_rule_has_a_broken_method_and_a_sound_one_breaks_none() -> None:
    assert set(BROKEN.values()) == set(MethodContract.rules())
    assert not violated(list(contract(Sound, {}, Switches()).findings()))


def test_dead_parameters_are_named() -> None:
    broken = next(method for method in BROKEN if method.__name__ == "DeadParameters")
    message = violated(list(contract(broken, {}, Switches()).findings()))["every_parameter_can_matter"]
    assert message == "no gradient reaches attachments.gain.norm.bias, attachments.gain.norm.weight"


def test_a_method_that_fits_nothing_violates_the_rule_on_sizes_alone() -> None:
    findings = list(contract("conformer", {"reduction_rate": 9999}, Switches()).findings())
    assert violated(findings).keys() == {"sizes_and_lengths"}
    assert "leaves no channel of hidden size 768" in violated(findings)["sizes_and_lengths"]


def test_a_method_that_refuses_the_small_backbone_is_tried_on_the_full_size_one() -> None:
    assert contract("conformer", {"reduction_rate": 300}, Switches()).backbone().geometry.hidden_size == 768


class HoldsConstants(Sound):
    """Sound: an infinite mask among its buffers, a single-precision basis that is no buffer, one module at two sites."""

    def attach(self, backbone: Backbone) -> None:
        width = backbone.geometry.hidden_size
        module, basis = self.module(width), torch.eye(width)
        module.register_buffer("mask", torch.full((2, 2), -torch.inf))
        for name, layer in (("gain", 0), ("again", 1)):
            backbone.add(name, module, "adapter")
            backbone.site("ffn", layer).on_output(lambda x, y: module(y @ basis))


def test_a_sound_method_is_not_accused() -> None:
    assert not violated(list(contract(HoldsConstants, {}, Switches()).findings()))


def test_a_method_that_ends_the_process_is_a_violation() -> None:
    class Leaves(Sound):
        def attach(self, backbone: Backbone) -> None:
            raise SystemExit(0)

    assert "SystemExit" in violated(list(contract(Leaves, {}, Switches()).findings()))["sizes_and_lengths"]


class TestLinear(MethodContract):
    """The kit as a contributor uses it: inherited."""

    method = "linear"
