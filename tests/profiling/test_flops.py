"""Operations that torch counts against formulas written down here."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from petl_bench.backbones.base import Backbone
from petl_bench.profiling.flops import forward_flops, training_flops
from petl_bench.training.run import attached
from tests.studies import TINY, plan_of

FRAMES, CLASSES, CLIPS = 100, 10, 2


def with_method(method: str, *switches: str) -> Backbone:
    plan, workbench = plan_of(replace(TINY, methods=(method,), switches=switches))
    backbone = workbench.backbone(plan[0].spec)
    attached(plan[0], backbone)
    return backbone.train()


def tokens_of(backbone: Backbone) -> tuple[int, int]:
    """Patches and all tokens of a clip."""
    its, settings = backbone.geometry, backbone.model.config
    columns = (FRAMES - its.patch) // settings.time_stride + 1
    patches = columns * ((its.bins - its.patch) // settings.frequency_stride + 1)
    return patches, patches + len(its.special_tokens)


def forward_of_ast(backbone: Backbone) -> int:
    """Of a clip: patch embedding; q, k, v, o, fc1, fc2, scores and their sums in every layer; head."""
    its, (patches, tokens) = backbone.geometry, tokens_of(backbone)
    width, inner = its.hidden_size, its.intermediate_size
    embedding = patches * its.patch**2 * width
    layer = 4 * tokens * width**2 + 2 * tokens * width * inner + 2 * tokens**2 * width
    return 2 * (embedding + its.layers * layer + width * CLASSES)


def forward(backbone: Backbone) -> float:
    return forward_flops(backbone, torch.randn(CLIPS, FRAMES, 128)) / CLIPS


def training(backbone: Backbone) -> float:
    return training_flops(backbone, torch.randn(CLIPS, FRAMES, 128), torch.zeros(CLIPS, dtype=torch.long)) / CLIPS


def test_the_forward_pass_of_a_linear_probe_is_that_of_ast() -> None:
    backbone = with_method("linear")
    assert forward(backbone) == forward_of_ast(backbone)


def test_lora_adds_its_two_factors_at_every_target() -> None:
    backbone = with_method("lora")
    rank, targets, (_, tokens) = 6, 2, tokens_of(backbone)
    update = 2 * tokens * 2 * backbone.geometry.hidden_size * rank
    assert forward(backbone) == forward_of_ast(backbone) + backbone.geometry.layers * targets * update


@pytest.mark.parametrize(("switches", "gradients"), [((), 2), (("train_norms=false",), 1)])
def test_training_a_linear_probe_adds_the_heads_backward_pass_alone(switches: tuple[str, ...], gradients: int) -> None:
    """The gradient of the head's weight, and of its input where the norm below trains."""
    backbone = with_method("linear", *switches)
    head = 2 * backbone.geometry.hidden_size * CLASSES
    assert training(backbone) == forward(backbone) + gradients * head
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_full_fine_tuning_costs_three_forward_passes_but_for_the_gradient_of_the_input() -> None:
    backbone = with_method("full")
    patches, _ = tokens_of(backbone)
    embedding = 2 * patches * backbone.geometry.patch**2 * backbone.geometry.hidden_size
    assert training(backbone) == 3 * forward(backbone) - embedding


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_each_gradient_of_a_grouped_convolution_costs_a_forward_pass(groups: int) -> None:
    convolution = nn.Conv1d(8, 8, 3, groups=groups)
    model = nn.Sequential(nn.Conv1d(8, 8, 1), convolution, nn.Flatten())
    x, length = torch.randn(2, 8, 12), 10
    of_first, of_grouped = 2 * 2 * 12 * 8 * 8, 2 * 2 * length * 3 * 8 * 8 // groups
    assert forward_flops(model, x) == of_first + of_grouped
    assert training_flops(model, x, torch.zeros(2, dtype=torch.long)) == 2 * of_first + 3 * of_grouped
