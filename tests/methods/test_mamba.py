"""Mamba: the recurrence against its definition, the block against transformers', and one bottleneck for all layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from petl_bench.backbones.mini import Mini
from petl_bench.methods.mamba import LinearRecurrence, Mamba, mamba_parameters
from petl_bench.methods.mambadapter import FIRST_SCALE, Mambadapter

THEIRS = {
    "into": "in_proj",
    "convolution": "conv1d",
    "select": "x_proj",
    "step": "dt_proj",
    "out": "out_proj",
    "log_decay": "A_log",
    "skip": "D",
}


def step_by_step(a: Tensor, b: Tensor) -> Tensor:
    h, found = torch.zeros_like(b[0]), []
    for t in range(len(a)):
        h = a[t] * h + b[t]
        found.append(h)
    return torch.stack(found)


@pytest.mark.parametrize("time", [1, 2, 3, 7, 16, 17, 110])
def test_the_recurrence_and_its_gradients_are_those_of_the_definition(time: int) -> None:
    generator = torch.Generator().manual_seed(time)
    a = torch.rand(time, 2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    b, weight = (torch.randn(time, 2, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    b.requires_grad_()
    quick, plain = LinearRecurrence.apply(a, b), step_by_step(a, b)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(quick, plain)
    torch.testing.assert_close(torch.autograd.grad(quick, (a, b), weight), torch.autograd.grad(plain, (a, b), weight))


@pytest.mark.parametrize(("width", "states", "kernel_size", "expand"), [(12, 16, 4, 2), (24, 8, 3, 1)])
def test_the_block_is_the_one_of_transformers(width: int, states: int, kernel_size: int, expand: int) -> None:
    torch.manual_seed(0)
    ours = Mamba(width, states, kernel_size, expand)
    config = MambaConfig(
        hidden_size=width, state_size=states, conv_kernel=kernel_size, expand=expand, num_hidden_layers=1
    )
    theirs = MambaMixer(config, 0)
    renamed = {name.partition("."): tensor for name, tensor in ours.state_dict().items()}
    theirs.load_state_dict({THEIRS[name] + dot + kind: tensor for (name, dot, kind), tensor in renamed.items()})
    assert sum(p.numel() for p in theirs.parameters()) == mamba_parameters(width, states, kernel_size, expand)
    x = torch.randn(3, 50, width)
    gradients = []
    for block in (ours, theirs):
        block.zero_grad()
        y = block(x)
        y.square().sum().backward()
        gradients.append([y, *(parameter.grad for _, parameter in sorted(block.named_parameters(), key=order))])
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def order(named: tuple[str, object]) -> str:
    """Ours and theirs in one order."""
    name, dot, kind = named[0].partition(".")
    return THEIRS.get(name, name) + dot + kind


def test_steps_start_between_a_thousandth_and_a_tenth() -> None:
    torch.manual_seed(0)
    steps = torch.nn.functional.softplus(Mamba(64, 16, 4, 2).step.bias.detach())
    assert 1e-3 <= float(steps.min()) < 2e-3 < 5e-2 < float(steps.max()) <= 1e-1


def test_layers_share_one_bottleneck_and_have_a_scale_each() -> None:
    backbone = Mini.load(None, frames=100)
    method = Mambadapter(Mambadapter.Config(reduction_rate=16))
    method.attach(backbone)
    adapters = list(backbone.attachments.values())
    assert len(adapters) == 6
    assert len({id(adapter.up.weight) for adapter in adapters}) == len({id(a.down.weight) for a in adapters}) == 1
    assert len({id(adapter.scale) for adapter in adapters}) == 6
    assert all(torch.equal(adapter.scale, torch.tensor(FIRST_SCALE)) for adapter in adapters)
    shared = 2 * 128 * 8 + 8 + 128
    assert backbone.parameters_by_role()["adapter"] == shared + 6 * (mamba_parameters(8, 16, 4, 2) + 1)
    names = [name for name in backbone.roles if name.endswith(("up.weight", "down.weight"))]
    assert len(names) == 2
    assert len(backbone.trained_parameters()) == len(backbone.trained_state())
