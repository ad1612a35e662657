"""What single methods do beyond the contract: norms, tokens, pooling, and the settings they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from petl_bench.backbones.ast import AST
from petl_bench.backbones.mini import Mini
from petl_bench.methods.base import Method
from petl_bench.methods.bitfit import Bitfit
from petl_bench.methods.conformer import ConformerAdapter, Norm, build_norm, group_count
from petl_bench.methods.layernorm import Layernorm
from petl_bench.methods.linear import Linear
from petl_bench.methods.lora import Lora
from petl_bench.methods.prefix import Prefix
from petl_bench.methods.prompt import Prompt
from petl_bench.switches import Switches

FEATURES = torch.randn(3, 100, 128, generator=torch.Generator().manual_seed(0))
X = torch.randn(3, 8, 50, generator=torch.Generator().manual_seed(1))
"""[clips, channels, tokens]"""


def attached(method: Method, classes: int = 4) -> AST:
    backbone = Mini.load(None, frames=100)
    torch.manual_seed(0)
    method.attach(backbone)
    backbone.add_head(classes, method.pooled_tokens(backbone.geometry))
    return backbone


def normed(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, unbiased=False, keepdim=True) + 1e-5).sqrt()


def test_the_conformers_norms_average_over_what_they_say() -> None:
    with torch.no_grad():
        torch.testing.assert_close(build_norm("batch", 8)(X), normed(X, (0, 2)))
        grouped = normed(X.view(3, 4, 2 * 50), (2,)).view_as(X)
        torch.testing.assert_close(build_norm("group", 8)(X), grouped)
        torch.testing.assert_close(build_norm("layer", 8)(X), normed(X, (1,)))
        assert torch.equal(build_norm("none", 8)(X), X)


def test_groups_are_the_largest_divisor_up_to_four() -> None:
    assert [group_count(channels) for channels in (1, 2, 3, 4, 5, 6, 8, 9, 12)] == [1, 2, 3, 4, 1, 3, 4, 3, 4]


@pytest.mark.parametrize("norm", ["group", "layer", "none"])
def test_only_batch_norm_lets_clips_of_a_batch_see_each_other(norm: Norm) -> None:
    torch.manual_seed(0)
    for kind, independent in ((norm, True), ("batch", False)):
        adapter = ConformerAdapter(16, 8, 3, kind).train()  # type: ignore[arg-type]
        x = torch.randn(4, 20, 16)
        with torch.no_grad():
            same = torch.allclose(adapter(x)[:1], adapter(x[:1]), atol=1e-6)
        assert same == independent


@pytest.mark.parametrize(
    ("method", "positions"),
    [
        (Linear(Linear.Config()), range(50)),
        (Linear(Linear.Config(pooling="cls")), [0]),
        (Linear(Linear.Config(pooling="cls+dist")), [0, 1]),
        (Prompt(Prompt.Config(tokens=3, pooling="prompts")), [2, 3, 4]),
        (Prompt(Prompt.Config(tokens=3, pooling="cls+dist")), [0, 1]),
        (Prompt(Prompt.Config(tokens=3, pooling="prompts"), Switches(distillation_token="dropped")), [1, 2, 3]),
        (Prompt(Prompt.Config(tokens=3), Switches(distillation_token="dropped")), range(52)),
    ],
)
def test_the_head_reads_the_mean_of_the_pooled_tokens(method: Method, positions: Any) -> None:
    backbone = attached(method)
    assert backbone.head is not None
    with torch.no_grad():
        tokens = backbone.tokens(FEATURES)
        expected = backbone.head(tokens[:, list(positions)].mean(dim=1))
        torch.testing.assert_close(backbone(FEATURES), expected)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Linear(Linear.Config(pooling="prompts")), "pooling = 'prompts': no prompt token"),
        (
            Prompt(Prompt.Config(pooling="cls+dist"), Switches(distillation_token="dropped")),
            "pooling = 'cls\\+dist': no distillation token",
        ),
    ],
)
def test_pooling_over_tokens_that_are_not_there_is_refused(method: Method, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method.pooled_tokens(Mini.load(None, frames=100).geometry)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_prompts_stand_after_the_special_tokens_in_every_layer_they_should(deep: bool, dropped: bool) -> None:
    method = Prompt(Prompt.Config(tokens=3, deep=deep), Switches(distillation_token="dropped" if dropped else "kept"))
    backbone = Mini.load(None, frames=100)
    plain = backbone.model.embeddings(FEATURES)
    method.attach(backbone)
    seen: list[torch.Tensor] = []

    def remember(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x

    for layer in range(6):
        backbone.site("layer_in", layer).on_input(remember)
    backbone.tokens(FEATURES)
    kept = 1 if dropped else 2
    expected = torch.cat(
        [plain[:, :kept], backbone.attachments["layer0_prompts"].values.expand(3, -1, -1), plain[:, 2:]], 1
    )
    torch.testing.assert_close(seen[0], expected)
    for layer in range(1, 6):
        prompts = backbone.attachments[f"layer{layer}_prompts" if deep else "layer0_prompts"].values.expand(3, -1, -1)
        assert torch.equal(seen[layer][:, kept : kept + 3], prompts) == deep


def test_every_token_attends_to_the_prefix() -> None:
    """The first layer's attention by hand: softmax over the prefix keys and the layer's own."""
    backbone = Mini.load(None, frames=100)
    Prefix(Prefix.Config(tokens=6)).attach(backbone)
    heads, width = 4, 32
    found: dict[str, torch.Tensor] = {}
    for name in ("q", "k", "v", "o"):
        site = backbone.site(name, 0)  # type: ignore[arg-type]
        site.on_output(lambda x, y, name=name: found.setdefault(name, y))  # type: ignore[misc]
    backbone.site("o", 0).on_input(lambda x: found.setdefault("attended", x))

    def by_head(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(len(x), -1, heads, width).transpose(1, 2)

    with torch.no_grad():
        backbone.tokens(FEATURES)
        prefix = {
            kind: backbone.attachments[f"layer0_prefix_{kind}"].values.expand(3, -1, -1) for kind in ("keys", "values")
        }
        keys, values = (torch.cat([found[n], prefix[kind]], dim=1) for n, kind in (("k", "keys"), ("v", "values")))
        assert keys.shape == (3, 50 + 3, heads * width)
        weights = torch.softmax(by_head(found["q"]) @ by_head(keys).mT / width**0.5, dim=-1)
        expected = (weights @ by_head(values)).transpose(1, 2).reshape(3, 50, -1)
        torch.testing.assert_close(found["attended"], expected, atol=1e-5, rtol=1e-5)


def test_an_attention_without_a_prefix_is_bit_equal_to_the_plain_one() -> None:
    backbone = Mini.load(None, frames=100)
    plain = backbone.tokens(FEATURES)
    backbone.on_keys_values(0, lambda keys, values: (keys, values))
    assert torch.equal(plain, backbone.tokens(FEATURES))
    assert backbone.model.config._attn_implementation != "sdpa"
    backbone.detach()
    assert backbone.model.config._attn_implementation == "sdpa"


def test_bitfit_and_layernorm_train_what_their_names_say() -> None:
    for method, kinds in ((Bitfit(Bitfit.Config()), {"bias"}), (Layernorm(Layernorm.Config()), {"bias", "weight"})):
        names = {name for name in attached(method).roles if not name.startswith("head.")}
        assert {name.rpartition(".")[2] for name in names} == kinds
        if isinstance(method, Layernorm):
            assert all("layernorm" in name for name in names)
        else:
            modules = {
                name
                for name, module in attached(method).named_modules()
                if isinstance(module, nn.Linear | nn.LayerNorm)
            }
            assert {f"{name}.bias" for name in modules - {"head"}} == names


def test_lora_updates_are_added_at_every_target() -> None:
    """A trained update equals the same model with the product added to the weights."""
    targets = ("q", "k", "v", "o", "fc1", "fc2")
    method = Lora(Lora.Config(targets=targets, layers=(2,)), Switches(init="released"))  # type: ignore[arg-type]
    backbone = attached(method)
    with torch.no_grad():
        updated = backbone.tokens(FEATURES)
        products = {}
        for target in targets:
            update = backbone.attachments[f"layer2_{target}_lora"]
            products[target] = method.scale(backbone.geometry) * update.up @ update.down
        backbone.detach()
        for target, product in products.items():
            backbone.module_at(target, 2).weight += product
        torch.testing.assert_close(updated, backbone.tokens(FEATURES), atol=1e-5, rtol=1e-5)
