"""The yardstick and petl-bench train the same thing: equal logits on equal weights, equal steps from equal batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from petl_bench.backbones.mini import Mini
from petl_bench.methods.base import Method
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.linear import Linear
from petl_bench.methods.lora import Lora
from tests.performance.reference import Beside, Classifier, build, optimizer_of, step

FEATURES = torch.randn(4, 100, 128, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 2, 0])
METHODS: dict[str, Method] = {
    "linear": Linear(Linear.Config()),
    "lora": Lora(Lora.Config()),
    "conformer": Conformer(Conformer.Config(reduction_rate=16)),
}


def pair(name: str) -> tuple[Mini, Classifier]:
    """Ours with a method, and theirs with its trained tensors copied."""
    torch.manual_seed(0)
    ours, method = Mini.load(None, 100), METHODS[name]
    method.attach(ours)
    ours.add_head(3)
    theirs = build(Mini.load(None, 100).model, name, 3, reduction_rate=16)
    with torch.no_grad():
        for parameter in (*ours.attachments.parameters(),):
            parameter.add_(0.1 * torch.randn_like(parameter))  # a zero side would hide what is behind it
        for mine, other in zip(own_tensors(ours, name), their_tensors(theirs, name), strict=True):
            other.copy_(mine.view_as(other))
    return ours, theirs


def own_tensors(backbone: Mini, name: str) -> list[Tensor]:
    assert backbone.head is not None
    sides = ("down", "up") if name == "lora" else None
    found = [
        tensor
        for module in backbone.attachments.values()
        for tensor in ([getattr(module, side) for side in sides] if sides else module.parameters())
    ]
    return [*found, *backbone.head.parameters()]


def their_tensors(model: Classifier, name: str) -> list[Tensor]:
    branches = [module.branch for module in model.model.modules() if isinstance(module, Beside)]
    return [*(tensor for branch in branches for tensor in branch.parameters()), *model.head.parameters()]


@pytest.mark.parametrize("name", METHODS)
def test_logits_and_steps_are_equal(name: str) -> None:
    ours, theirs = pair(name)
    for mode in (ours.eval, theirs.eval):
        mode()
    with torch.no_grad():
        torch.testing.assert_close(ours(FEATURES), theirs(FEATURES), atol=1e-4, rtol=1e-4)
    ours.train(), theirs.train()
    fused = torch.optim.AdamW(
        ours.trained_parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1, fused=True
    )
    plain = optimizer_of(theirs, 1e-3)
    for _ in range(3):
        fused.zero_grad()
        loss = nn.functional.cross_entropy(ours(FEATURES), TARGETS)
        loss.backward()
        fused.step()
        assert step(theirs, plain, FEATURES, TARGETS) == pytest.approx(loss.item(), rel=1e-3)
    for mine, other in zip(own_tensors(ours, name), their_tensors(theirs, name), strict=True):
        torch.testing.assert_close(mine, other.view_as(mine), atol=1e-3, rtol=1e-2)
