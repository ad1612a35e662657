"""Layers count as untouched only where nothing that they, or what is around them, compute was changed in any way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.condition import bits_of
from petl_bench.backbones.mini import Mini
from petl_bench.backbones.untouched import untouched_layers
from petl_bench.locations import cache_folder
from tests.studies import Command


def scaled(backbone: Backbone, name: str) -> None:
    with torch.no_grad():
        backbone.model.get_parameter(name).mul_(1.5)


def turned(backbone: Backbone, name: str) -> None:
    with torch.no_grad():
        weight = backbone.model.get_parameter(name)
        weight.copy_(weight.flip(0))


def new_pool(backbone: Backbone) -> None:
    backbone.pool = lambda tokens: tokens[:, 0]  # type: ignore[method-assign]


def first_weight(layer: int) -> str:
    backbone = Mini.load(None, 100)
    prefix = next(name for name, module in backbone.model.named_modules() if module is backbone.module_at("fc1", layer))
    return f"{prefix}.weight"


@pytest.mark.parametrize(
    ("change", "layers"),
    [
        (lambda backbone: None, 6),
        (lambda backbone: scaled(backbone, first_weight(0)), 0),
        (lambda backbone: scaled(backbone, first_weight(3)), 3),
        (lambda backbone: turned(backbone, first_weight(2)), 2),
        (lambda backbone: turned(backbone, "layernorm.weight"), 6),
        (lambda backbone: scaled(backbone, "embeddings.position_embeddings"), 0),
        (lambda backbone: scaled(backbone, "layernorm.weight"), 6),
        (lambda backbone: backbone.model.register_forward_pre_hook(lambda module, inputs: None), 0),
        (lambda backbone: backbone.register_forward_hook(lambda module, inputs, output: None), 0),
        (lambda backbone: backbone.site("tokens_in").on_output(lambda x, y: y), 0),
        (lambda backbone: backbone.site("q", 1).on_input(lambda x: x), 1),
        (lambda backbone: backbone.add("apart", nn.Linear(4, 4), "adapter"), 6),
        (lambda backbone: backbone.add_head(3, pooled=(0, 1)), 6),
        (new_pool, 0),
    ],
)
def test_what_counts_as_touched(change: Callable[[Backbone], object], layers: int) -> None:
    backbone = Mini.load(None, 100)
    loaded = backbone.condition()
    change(backbone)
    assert untouched_layers(backbone, loaded) == layers


@pytest.mark.parametrize("size", [1, 3, 700, 1024, 5000, 100_003])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_another_value_or_order_is_another_sum_of_bits(size: int, dtype: torch.dtype) -> None:
    tensor = torch.arange(size).remainder(251).to(dtype)
    module = nn.Module()
    module.register_buffer("its", tensor)
    before = bits_of(module)
    assert bits_of(module) == before
    for change in (lambda t: t.flip(0), lambda t: t.roll(1), lambda t: t.index_fill(0, torch.tensor([size - 1]), 252)):
        changed = change(tensor)
        module.its = changed
        assert (bits_of(module) == before) == torch.equal(changed, tensor)


def test_what_was_put_on_last_comes_off_first() -> None:
    backbone, order = Mini.load(None, 100), []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name = name

        def remove(self) -> None:
            order.append(self.name)

    for name in ("first", "second"):
        backbone.until_detached(Noted(name))
    backbone.detach()
    assert order == ["second", "first"]


QUANTISED = """
import torch
from petl_bench import Method


class Restored:
    def __init__(self, weight):
        self.weight, self.kept = weight, weight.detach().clone()

    def remove(self):
        with torch.no_grad():
            self.weight.copy_(self.kept)


class Quantised(Method):
    def attach(self, backbone):
        self.train_norm(backbone, "norm_final")
        for layer in range(backbone.geometry.layers):
            weight = backbone.site("fc1", layer).module.weight
            backbone.until_detached(Restored(weight))
            with torch.no_grad():
                weight.copy_((4 * weight).round() / 4)
"""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_that_a_method_edits_leave_no_states_for_others(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quantised.py").write_text(QUANTISED)
    arguments = ("--dataset", "synthetic", "--limit", "1", "--epochs", "1", "--folds", "1", "--precision", precision)
    before = set((cache_folder() / "states").glob("*.npy"))
    code, out, err = command("run", "--methods", "quantised.py:Quantised", *arguments, "--executor", "in_process")
    assert code == 0, out + err
    assert set((cache_folder() / "states").glob("*.npy")) == before
