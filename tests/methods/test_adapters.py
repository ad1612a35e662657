"""AdaptFormer, ConvPass, mixtures of adapters and SSF, each against its formula written out once more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from petl_bench.backbones.mini import Mini
from petl_bench.backbones.sites import LayerSite
from petl_bench.methods.adaptformer import AdaptFormerAdapter
from petl_bench.methods.convpass import Convpass, ConvpassAdapter
from petl_bench.methods.grid import as_grid, as_tokens
from petl_bench.methods.moa import DenseMixture, Moa, SoftMixture
from petl_bench.methods.ssf import ScaleAndShift, Ssf
from petl_bench.switches import Switches

ROWS, COLUMNS, WIDTH = 3, 5, 16
FEATURES = torch.randn(2, 100, 128, generator=torch.Generator().manual_seed(0))
X = torch.randn(2, 2 + ROWS * COLUMNS, WIDTH, generator=torch.Generator().manual_seed(1))
"""[clips, tokens, width]: two special tokens, then a grid."""


def randomised(module: nn.Module) -> nn.Module:
    """With values everywhere, as after training."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
    return module.eval()


@pytest.mark.parametrize("layernorm", ["none", "in", "out"])
def test_adaptformer_is_a_scaled_bottleneck(layernorm: Any) -> None:
    adapter: Any = randomised(AdaptFormerAdapter(WIDTH, 4, 0.1, 0.1, layernorm, learnable=False))

    def norm(x: Tensor, module: Any) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * module.weight + module.bias

    x = norm(X, adapter.norm_in) if layernorm == "in" else X
    up = (x @ adapter.down.weight.T + adapter.down.bias).clamp(min=0) @ adapter.up.weight.T + adapter.up.bias
    torch.testing.assert_close(adapter(X), 0.1 * (norm(up, adapter.norm_out) if layernorm == "out" else up))


def test_convpass_sees_the_neighbours_in_frequency_and_time() -> None:
    """By loops over tokens, whose index is row * columns + column behind the special ones."""
    adapter: Any = randomised(ConvpassAdapter(WIDTH, 4, ROWS, special=2, scale=0.3, dropout=0.1))
    hidden = nn.functional.gelu(adapter.down(X))
    kernel, bias = adapter.convolution.weight, adapter.convolution.bias
    expected = torch.empty_like(hidden)
    for token in (0, 1):
        expected[:, token] = hidden[:, token] @ kernel[:, :, 1, 1].T + bias
    for row in range(ROWS):
        for column in range(COLUMNS):
            total = bias.expand(len(X), -1)
            for f, t in ((f, t) for f in (-1, 0, 1) for t in (-1, 0, 1)):
                if 0 <= row + f < ROWS and 0 <= column + t < COLUMNS:
                    neighbour = hidden[:, 2 + (row + f) * COLUMNS + column + t]
                    total = total + neighbour @ kernel[:, :, 1 + f, 1 + t].T
            expected[:, 2 + row * COLUMNS + column] = total
    torch.testing.assert_close(adapter(X), 0.3 * adapter.up(nn.functional.gelu(expected)))


def test_a_convolution_that_was_not_trained_is_the_identity() -> None:
    adapter = ConvpassAdapter(WIDTH, 4, ROWS, special=2, scale=1.0, dropout=0.0)
    grid = torch.randn(2, 4, ROWS, COLUMNS)
    torch.testing.assert_close(adapter.convolution(grid), grid)
    assert not adapter(X).any()


def test_the_grid_is_the_backbones() -> None:
    """The patches of the model's own convolution over frequency and time."""
    backbone = Mini.load(None, frames=100)
    seen: list[Tensor] = []
    backbone.site("patch_embedding").on_output(lambda x, y: seen.append(y) or y)  # type: ignore[func-returns-value]
    tokens = backbone.model.embeddings.patch_embeddings(FEATURES)
    assert backbone.geometry.rows is not None
    assert torch.equal(as_grid(tokens, backbone.geometry.rows), seen[0])
    assert torch.equal(as_tokens(as_grid(tokens, backbone.geometry.rows)), tokens)


def test_convpass_refuses_tokens_that_are_no_grid() -> None:
    geometry = replace(Mini.load(None, frames=100).geometry, rows=None)
    with pytest.raises(ValueError, match="needs a grid of patches"):
        Convpass(Convpass.Config(reduction_rate=16)).check(geometry)


def experts() -> list[nn.Module]:
    return [nn.Linear(WIDTH, WIDTH) for _ in range(3)]


def test_a_dense_mixture_weighs_every_expert_by_token() -> None:
    mixture: Any = randomised(DenseMixture(experts(), WIDTH, released=False))
    expected = torch.zeros_like(X)
    for clip in range(X.shape[0]):
        for token in range(X.shape[1]):
            x = X[clip, token]
            weights = torch.softmax(mixture.router(x), dim=0)
            expected[clip, token] = sum(w * expert(x) for w, expert in zip(weights, mixture.experts, strict=True))
    torch.testing.assert_close(mixture(X), expected)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("slots", [1, 2])
def test_a_soft_mixture_dispatches_and_combines(slots: int, normalise: bool) -> None:
    mixture: Any = randomised(SoftMixture(experts(), WIDTH, slots, normalise=normalise))
    embeddings = mixture.embeddings
    for clip, x in enumerate(X):
        if normalise:
            lengths = x.norm(dim=1)[:, None] * embeddings.norm(dim=0)
            scores = mixture.scale * (x @ embeddings) / lengths
        else:
            scores = x @ embeddings
        dispatch, combine = scores.exp() / scores.exp().sum(0), scores.exp() / scores.exp().sum(1, keepdim=True)
        outputs = [mixture.experts[at // slots](dispatch[:, at] @ x) for at in range(3 * slots)]
        expected = sum(combine[:, at, None] * output for at, output in enumerate(outputs))
        torch.testing.assert_close(mixture(X)[clip], expected, atol=1e-5, rtol=1e-5)


def test_a_dense_mixture_has_no_slots() -> None:
    with pytest.raises(ValidationError, match="slots and normalise are for routing = 'soft'"):
        Moa.Config(routing="dense", slots=2)


def test_ssf_can_be_taken_into_the_weights() -> None:
    """Re-parameterisation (arXiv 2210.08823, equation 4): W' = gamma W, b' = gamma b + beta, at every operation."""
    backbone = Mini.load(None, frames=100)
    torch.manual_seed(0)
    Ssf(Ssf.Config()).attach(backbone)
    modules = dict(backbone.attachments.items())
    assert len(modules) == 2 + 6 * 8
    with torch.no_grad():
        adapted = backbone.tokens(FEATURES)
        backbone.detach()
        for name, module in modules.items():
            assert isinstance(module, ScaleAndShift)
            label = name.removesuffix("_ssf")
            if label.startswith("layer"):
                layer, _, site = label.removeprefix("layer").partition("_")
                target: Any = backbone.module_at(site, int(layer))  # type: ignore[arg-type]
            else:
                target = backbone.module_at(label, None)  # type: ignore[arg-type]
            target.weight.mul_(module.scale.view(-1, *[1] * (target.weight.dim() - 1)))
            target.bias.mul_(module.scale).add_(module.shift)
        torch.testing.assert_close(backbone.tokens(FEATURES), adapted, atol=1e-4, rtol=1e-4)


def test_ssf_without_noise_starts_as_identity() -> None:
    backbone = Mini.load(None, frames=100)
    plain = backbone.tokens(FEATURES)
    method = Ssf(Ssf.Config(), Switches(init="zero"))
    method.attach(backbone)
    assert method.starts_as_identity()
    assert torch.equal(backbone.tokens(FEATURES), plain)


@pytest.mark.parametrize("site", ["q", "norm_ffn"])
def test_ssf_adapts_the_operations_that_it_is_told(site: LayerSite) -> None:
    backbone = Mini.load(None, frames=100)
    Ssf(Ssf.Config(operations=(site,), layers=(1, 4))).attach(backbone)  # type: ignore[arg-type]
    assert set(backbone.attachments) == {f"layer1_{site}_ssf", f"layer4_{site}_ssf"}
