"""Models of waveforms: equal to transformers' own, whose sites are where they are said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2Model

from petl_bench.backbones.resolve import resolve
from petl_bench.backbones.sites import Site
from petl_bench.backbones.untouched import untouched_layers
from petl_bench.backbones.wav2vec2 import Wav2Vec2
from petl_bench.backbones.waveform import Waveform
from petl_bench.backbones.waveform_folder import without_chance
from petl_bench.methods.base import Method
from petl_bench.methods.bitfit import Bitfit
from petl_bench.methods.bottleneck import Bottleneck
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.conformer_gated import ConformerGated
from petl_bench.methods.full import Full
from petl_bench.methods.linear import Linear
from petl_bench.methods.lora import Lora
from petl_bench.methods.moa import Moa
from petl_bench.methods.placement import Placement
from petl_bench.methods.prefix import Prefix
from petl_bench.methods.prompt import Prompt
from petl_bench.registry import BACKBONES
from tests.backbones.waveforms import FRAMES, NAMES, clips, extracted, save_checkpoint

KINDS = [(name, pre_norm) for name in NAMES for pre_norm in (False, True)]

METHODS: dict[str, Method] = {
    "lora": Lora(Lora.Config(targets=("q", "k", "v", "o", "fc1", "fc2"))),
    "prefix": Prefix(Prefix.Config(tokens=4)),
    "prompt": Prompt(Prompt.Config(tokens=3)),
    "conformer": Conformer(Conformer.Config(reduction_rate=8, placement=Placement(location="both"))),
    "full": Full(Full.Config()),
}


def family(name: str) -> type[Waveform]:
    cls: type[Waveform] = BACKBONES.load(name).cls
    return cls


@pytest.fixture(scope="module", params=KINDS, ids=[f"{name}-{'pre' if pre else 'post'}" for name, pre in KINDS])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Waveform]:
    """A checkpoint folder, transformers' own model of it, and the backbone."""
    name, pre_norm = request.param
    folder = tmp_path_factory.mktemp("checkpoint")
    model = save_checkpoint(folder, family(name), pre_norm=pre_norm)
    source = resolve(str(folder))
    assert source.cls is family(name)
    return folder, model, source.cls.load(folder, FRAMES)  # type: ignore[return-value]


def attached(method: Method, backbone: Waveform) -> Waveform:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method.attach(backbone)
        backbone.add_head(4, method.pooled_tokens(backbone.geometry))
    return backbone


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("normalises", [False, True])
def test_samples_are_those_of_the_feature_extractor(tmp_path: Path, pre_norm: bool, normalises: bool) -> None:
    save_checkpoint(tmp_path, Wav2Vec2, pre_norm=pre_norm, normalises=normalises)
    backbone = Wav2Vec2.load(tmp_path, FRAMES)
    wanted = extracted(tmp_path, clips(), mask=pre_norm)["input_values"]
    torch.testing.assert_close(backbone.prepared(clips()), wanted, atol=2e-6, rtol=0)


def test_tokens_are_the_last_hidden_state_and_their_mean_leaves_padding_out(
    pair: tuple[Path, Any, Waveform],
) -> None:
    folder, model, backbone = pair
    inputs = extracted(folder, clips(), mask=backbone.masks)
    with torch.no_grad():
        wanted = model(**inputs).last_hidden_state
        tokens = backbone.tokens(clips())
        frames = model._get_feat_extract_output_lengths(torch.tensor([16_240, 9_000, 16_000])).tolist()
        pooled = [
            clip[: number if backbone.masks else None].mean(dim=0) for clip, number in zip(wanted, frames, strict=True)
        ]
        head = attached(Linear(Linear.Config()), backbone).head
        assert head is not None
        torch.testing.assert_close(backbone(clips()), head(torch.stack(pooled)), atol=1e-4, rtol=1e-4)
        backbone.detach()
    used = ~tokens.isnan()
    assert used.all(dim=2).sum(dim=1).tolist() == (frames if backbone.masks else [50, 50, 50])
    torch.testing.assert_close(tokens[used], wanted[used], atol=5e-5, rtol=1e-4)


def test_hidden_states_lead_to_the_same_tokens_from_every_layer(pair: tuple[Path, Any, Waveform]) -> None:
    *_, backbone = pair
    with torch.no_grad():
        tokens = backbone.tokens(clips())
        for layers in range(backbone.geometry.layers + 1):
            again = backbone.from_hidden(backbone.hidden(clips(), layers), layers)
            torch.testing.assert_close(again, tokens, atol=1e-6, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_detached_it_is_as_loaded(pair: tuple[Path, Any, Waveform], method: Method) -> None:
    *_, backbone = pair
    loaded, condition = {name: t.clone() for name, t in backbone.state_dict().items()}, backbone.condition()
    attached(method, backbone)
    loss = torch.nn.functional.cross_entropy(backbone.train()(clips()), torch.arange(3))
    loss.backward()
    with torch.no_grad():
        for parameter in backbone.trained_parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
            parameter.add_(1)
    backbone.detach()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in backbone.state_dict().items())
    assert backbone.condition() == condition


MIXING = {
    "conformer": Conformer(Conformer.Config(reduction_rate=4)),
    "conformer, group": Conformer(Conformer.Config(reduction_rate=8, norm="group")),
    "gated by clip": ConformerGated(ConformerGated.Config(reduction_rate=4, gate="clip")),
    "soft mixture": Moa(Moa.Config(reduction_rate=8)),
}


@pytest.mark.parametrize(
    "method",
    [*(METHODS[name] for name in ("lora", "prefix", "prompt")), *MIXING.values()],
    ids=lambda its: str(its.config),
)
@pytest.mark.parametrize("name", NAMES)
def test_under_a_mask_padding_changes_nothing(tmp_path: Path, name: str, method: Method) -> None:
    save_checkpoint(tmp_path, family(name), pre_norm=True)
    backbone = attached(method, family(name).load(tmp_path, FRAMES)).double()
    clip = clips()[1:2].double()
    with torch.no_grad():
        for parameter in backbone.attachments.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for mode in (backbone.eval, backbone.train):
            mode()
            torch.testing.assert_close(backbone(clip), backbone(clip[:, :9_000]), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_values_that_are_there_twice_change_nothing(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, family(name), pre_norm=False)
    backbone = family(name).load(tmp_path, FRAMES)
    if name == "wavlm":  # its second copies have no position bias: without one they are equal
        backbone.model.encoder.layers[0].attention.rel_attn_embed.weight.data.zero_()
    with torch.no_grad():
        before = backbone.tokens(clips())
        for layer in range(3):
            backbone.on_keys_values(layer, lambda key, value: (torch.cat([key, key], 2), torch.cat([value, value], 2)))
        torch.testing.assert_close(backbone.tokens(clips()), before, atol=1e-5, rtol=1e-5)
        backbone.on_keys_values(1, lambda key, value: (key, 2 * value))
        assert not torch.allclose(backbone.tokens(clips()), before, atol=1e-3)


def test_norms_feed_what_they_are_called_after(pair: tuple[Path, Any, Waveform]) -> None:
    *_, backbone = pair
    made: dict[str, torch.Tensor] = {}
    given: dict[str, torch.Tensor] = {}
    norms = {backbone.module_at("norm_final", None)}

    def watch(name: str, norm: Site, fed: Site | None = None) -> None:
        norm.on_output(lambda x, y: made.update({name: y}) or y)  # type: ignore[func-returns-value]
        if fed is not None:
            fed.on_output(lambda x, y: given.update({name: x}) or y)  # type: ignore[func-returns-value]

    for layer in range(3):
        watch(f"attention {layer}", backbone.site("norm_mhsa", layer), backbone.site("mhsa", layer))
        watch(f"FFN {layer}", backbone.site("norm_ffn", layer), backbone.site("ffn", layer))
        norms |= {backbone.module_at("norm_mhsa", layer), backbone.module_at("norm_ffn", layer)}
    watch("head", backbone.site("norm_final"))
    with torch.no_grad():
        given["head"] = backbone.tokens(clips())
    backbone.detach()
    whole = 0  # a clip without padding
    assert all(torch.equal(made[name][whole], given[name][whole]) for name in made)
    assert len(made) == len(given) == len(norms) == 2 * 3 + 1


def test_training_is_not_random_and_draws_nothing(tmp_path: Path) -> None:
    random = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.5)
    save_checkpoint(tmp_path, Wav2Vec2, pre_norm=False, layerdrop=0.5, mask_time_prob=0.9, mask_time_length=2, **random)
    backbone = Wav2Vec2.load(tmp_path, FRAMES)
    assert not backbone.drops_out()
    before = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(backbone.train().tokens(clips()), backbone.eval().tokens(clips()))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("method", "post_norm", "pre_norm"),
    [
        (Linear(Linear.Config()), 3, 3),
        (Lora(Lora.Config(layers=(2,))), 2, 2),
        (Bottleneck(Bottleneck.Config(reduction_rate=8, placement=Placement(layers=(2,)))), 2, 2),
        (Bottleneck(Bottleneck.Config(reduction_rate=8, placement=Placement(location="mhsa", layers=(2,)))), 1, 2),
        (Bottleneck(Bottleneck.Config(reduction_rate=8, placement=Placement(location="mhsa", layers=(0,)))), 0, 0),
        (Prompt(Prompt.Config(tokens=2)), 0, 0),
    ],
)
def test_layers_that_a_method_leaves_alone(tmp_path: Path, method: Method, post_norm: int, pre_norm: int) -> None:
    for pre, wanted in ((False, post_norm), (True, pre_norm)):
        save_checkpoint(tmp_path / str(pre), Wav2Vec2, pre_norm=pre)
        backbone = Wav2Vec2.load(tmp_path / str(pre), FRAMES)
        loaded = backbone.condition()
        assert untouched_layers(attached(method, backbone), loaded) == wanted


COUNTS: dict[str, tuple[Method, int, str]] = {
    "linear": (Linear(Linear.Config()), 1_536, ""),
    "bottleneck": (Bottleneck(Bottleneck.Config()), 250_512, "250K"),
    "conformer": (Conformer(Conformer.Config(kernel_size=31)), 272_256, "272K"),
    "full": (Full(Full.Config()), 90_170_496, "90M"),
    "bitfit": (Bitfit(Bitfit.Config()), 102_144, ""),
}


@pytest.mark.parametrize(("method", "count", "published"), COUNTS.values(), ids=COUNTS)
def test_counts_at_base_size_are_the_published_ones(method: Method, count: int, published: str) -> None:
    """arXiv 2312.03694, Table 3: without the head, thousands cut off. Its 24K of the linear probe are a head of 31
    classes alone; ours trains the final norm too, as on AST. Conformers hold a LayerNorm there, which is used."""
    with torch.device("meta"):
        backbone = Wav2Vec2.of(Wav2Vec2Model(without_chance(Wav2Vec2Config())), normalises=True)
        total = sum(tensor.numel() for tensor in backbone.fine_tuned().values())
        method.attach(backbone)
    ours = sum(backbone.parameters_by_role().values())
    assert ours == method.expected_parameters(backbone.geometry, total)
    assert ours + method.published_surplus(backbone.geometry) == count
    unit = {"K": 1_000, "M": 1_000_000}.get(published[-1:], 1)
    assert not published or f"{count // unit}{published[-1]}" == published
