"""Gradient checkpointing: less is kept, and not a bit is different."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from petl_bench.backbones.recompute import recompute_layers
from petl_bench.execution import Execution
from petl_bench.training.inputs import Inputs
from petl_bench.training.run import attached, seeded, train_run
from tests.studies import TINY, plan_of

METHODS = ["full", "lora", "conformer", "conformer_houlsby", "bottleneck", "prefix", "prompt_deep", "layernorm"]


def trained(method: str, recompute: bool) -> tuple[float, dict[str, torch.Tensor], int]:
    """Loss, gradients and buffers of a batch, and the bytes kept for its backward pass."""
    plan, workbench = plan_of(replace(TINY, methods=(method,)))
    spec = plan[0].spec
    backbone = workbench.backbone(spec)
    attached(plan[0], backbone)
    if recompute:
        recompute_layers(backbone)
    inputs = Inputs(spec, workbench, workbench.split(spec))
    features, targets = inputs.features(np.arange(20)), inputs.targets_of(np.arange(20))
    kept = 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    backbone.train()
    with seeded(spec, "dropout", 1), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = torch.nn.functional.cross_entropy(backbone(features), targets)
        loss.backward()
    found = {name: parameter.grad for name, parameter in backbone.named_parameters() if parameter.grad is not None}
    found |= {f"buffer {name}": buffer.clone() for name, buffer in backbone.attachments.named_buffers()}
    backbone.detach()
    assert workbench.give_back(backbone) == []
    return loss.item(), found, kept


@pytest.mark.parametrize("method", METHODS)
def test_losses_gradients_and_running_statistics_are_the_same_bits(method: str) -> None:
    loss, found, kept = trained(method, recompute=False)
    again, found_again, kept_again = trained(method, recompute=True)
    assert loss == again
    assert found.keys() == found_again.keys()
    assert [name for name in found if not torch.equal(found[name], found_again[name])] == []
    assert kept_again < kept / 4


def test_a_run_with_gradient_checkpointing_is_the_same_run() -> None:
    plan, workbench = plan_of(replace(TINY, methods=("conformer",), epochs=2))
    plain = train_run(plan[0], workbench)
    spared = train_run(plan[0], workbench, execution=Execution(gradient_checkpointing=True))
    assert np.array_equal(plain.predictions.test_logits, spared.predictions.test_logits)
    assert plain.record.run_info.run_key == spared.record.run_info.run_key
    assert spared.record.meta_info.system_info["gradient_checkpointing"] is True
    assert "gradient_checkpointing" not in plain.record.meta_info.system_info
