"""Frozen weights kept as bf16 give the numbers of autocast's own casts, and come back bit for bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from petl_bench.backbones.half import halve_frozen
from petl_bench.training.run import attached
from tests.studies import TINY, plan_of


@pytest.mark.parametrize("method", ["linear", "conformer", "lora", "bitfit", "prefix", "full"])
def test_losses_and_gradients_are_those_of_autocast(method: str) -> None:
    plan, workbench = plan_of(replace(TINY, methods=(method,)))
    found = []
    for halved in (False, True):
        backbone = workbench.backbone(plan[0].spec)
        attached(plan[0], backbone)
        if halved:
            halve_frozen(backbone)
            half = [name for name, tensor in backbone.named_parameters() if tensor.dtype == torch.bfloat16]
            assert (half == []) == (method == "full")
            assert not any(name in backbone.roles for name in half)
        features = torch.randn(4, 100, 128, generator=torch.Generator().manual_seed(0))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = backbone.train()(features)
        torch.nn.functional.cross_entropy(logits.float(), torch.arange(4)).backward()
        found.append([logits.detach(), *(parameter.grad for parameter in backbone.trained_parameters())])
        backbone.detach()
        assert workbench.give_back(backbone) == []
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
