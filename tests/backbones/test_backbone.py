"""Sites, trained parameters, and the way back to the loaded state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import ASTConfig, ASTForAudioClassification, ASTModel

from petl_bench.backbones import mini
from petl_bench.backbones.ast import AST, adapt_position_embeddings
from petl_bench.backbones.mini import Mini
from petl_bench.backbones.mini_random import MiniRandom
from petl_bench.backbones.resolve import resolve
from petl_bench.errors import UserError
from petl_bench.methods.base import Method
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.full import Full
from petl_bench.methods.linear import Linear
from petl_bench.methods.lora import Lora

METHODS = {
    "linear": Linear(Linear.Config()),
    "full": Full(Full.Config()),
    "lora": Lora(Lora.Config(targets=("q", "k", "v", "o", "fc1", "fc2"))),
    "conformer": Conformer(Conformer.Config(reduction_rate=16)),
}


def state_of(backbone: AST) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in backbone.state_dict().items()}


def train_a_little(backbone: AST) -> None:
    optimizer = torch.optim.AdamW(backbone.trained_parameters(), lr=1e-2)
    for step in range(2):
        features = torch.randn(2, 100, 128, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(backbone.train()(features), torch.tensor([0, 1])).backward()
        optimizer.step()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_only_what_is_marked_changes_and_detach_restores_bit_for_bit(method: Method) -> None:
    backbone = Mini.load(None, frames=100)
    loaded = state_of(backbone)
    method.attach(backbone)
    backbone.add_head(3)
    train_a_little(backbone)
    changed = {name for name in loaded if not torch.equal(loaded[name], backbone.state_dict()[name])}
    assert changed
    assert changed <= set(backbone.roles)

    backbone.detach()
    assert backbone.state_dict().keys() == loaded.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in backbone.state_dict().items())
    assert not any(p.requires_grad or p.grad is not None for p in backbone.parameters())
    assert not any(module.training for module in backbone.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in backbone.modules())
    assert backbone.trained_parameters() == []


def test_lora_starts_as_identity() -> None:
    backbone = Mini.load(None, frames=100)
    features = torch.randn(2, 100, 128, generator=torch.Generator().manual_seed(0))
    before = backbone.tokens(features)
    METHODS["lora"].attach(backbone)
    assert torch.equal(before, backbone.tokens(features))


def test_attachments_to_a_site_apply_in_order_and_see_through_tuples() -> None:
    backbone = Mini.load(None, frames=100)
    features = torch.randn(1, 100, 128, generator=torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []

    def record(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(y)
        return y

    site = backbone.site("mhsa", 0)
    site.on_output(record)
    site.on_output(lambda x, y: y + 1)
    site.on_output(lambda x, y: 2 * y)
    site.on_output(record)
    backbone.tokens(features)
    torch.testing.assert_close(seen[1], 2 * (seen[0] + 1))


def test_an_input_can_be_replaced() -> None:
    backbone = Mini.load(None, frames=100)
    features = torch.randn(1, 100, 128, generator=torch.Generator().manual_seed(0))
    plain = backbone.tokens(features)
    backbone.site("norm_final").on_input(torch.zeros_like)
    bias = backbone.model.layernorm.bias
    assert not torch.equal(plain, backbone.tokens(features))
    torch.testing.assert_close(backbone.tokens(features), bias.expand_as(plain))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: b.site("mlp", 0), "no site 'mlp'; there are layer_in, mhsa, "),
        (lambda b: b.site("mhsa"), "site 'mhsa' is .* a layer"),
        (lambda b: b.site("norm_final", 0), "site 'norm_final' is .*the model"),
        (lambda b: b.add("x", torch.nn.Linear(1, 1), "adapters"), "role 'adapters': give one of adapter, bias, norm"),
        (lambda b: b.add("x", torch.nn.Linear(1, 1), "head"), "role 'head'"),
        (lambda b: b.unfreeze("norm_final", role="heads"), "role 'heads'"),
        (lambda b: b.add("x", torch.nn.Linear(1, 1), "adapter", redundant=["bais"]), "'bais' is no parameter of 'x'"),
        (lambda b: [b.add("x", torch.nn.Linear(1, 1), "adapter") for _ in range(2)], "two attachments are called 'x'"),
    ],
)
def test_what_is_not_there_is_refused_in_words(call: Callable[[AST], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(Mini.load(None, frames=100))


def test_trained_state_is_a_real_copy_with_buffers() -> None:
    backbone = Mini.load(None, frames=100)
    METHODS["conformer"].attach(backbone)
    backbone.add_head(3)
    kept = backbone.trained_state()
    original = {name: tensor.clone() for name, tensor in kept.items()}
    train_a_little(backbone)
    assert all(torch.equal(kept[name], original[name]) for name in kept)
    assert any(name.endswith("running_var") for name in kept)
    backbone.restore(kept)
    assert all(torch.equal(tensor, original[name]) for name, tensor in backbone.trained_state().items())


def test_rows_are_those_of_the_patch_grid() -> None:
    backbone = Mini.load(None, frames=100)
    assert backbone.geometry.rows == backbone.model.embeddings.get_shape(backbone.model.config)[0]
    assert AST.description(ASTConfig(), []).geometry.rows == 12


def grid_of(rows: int, columns: int) -> torch.Tensor:
    """Position embeddings whose first channel is the row and second the column; special tokens are -1, -2."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    patches = torch.stack([row.flatten(), column.flatten()], dim=1).float()
    return torch.cat([torch.tensor([[-1.0, -1.0], [-2.0, -2.0]]), patches])[None]


@pytest.mark.parametrize(("time", "first"), [(9, 46), (49, 26), (100, 0)])
def test_position_embeddings_are_cut_from_the_middle(time: int, first: int) -> None:
    """As in AST's own code: 50 - time // 2 on the 12 x 101 grid of the AudioSet checkpoint."""
    adapted = adapt_position_embeddings(grid_of(12, 101), (12, 101), time)
    assert adapted.shape == (1, 2 + 12 * time, 2)
    assert adapted[0, :2].tolist() == [[-1.0, -1.0], [-2.0, -2.0]]
    plane = adapted[0, 2:].view(12, time, 2)
    assert plane[3, :, 1].tolist() == list(range(first, first + time))
    assert plane[:, 0, 0].tolist() == list(range(12))


def test_longer_inputs_interpolate_position_embeddings() -> None:
    plane = adapt_position_embeddings(grid_of(4, 5), (4, 5), 10)[0, 2:].view(4, 10, 2)
    torch.testing.assert_close(plane[2, :, 0], torch.full((10,), 2.0))
    torch.testing.assert_close(plane[0, 4:6, 1], torch.tensor([1.75, 2.25]))


def test_the_zeros_switch_leaves_embeddings_at_the_native_length() -> None:
    assert Mini.load(None, 512, "zeros").model.embeddings.position_embeddings.abs().sum() > 0
    assert Mini.load(None, 100, "zeros").model.embeddings.position_embeddings.abs().sum() == 0


def test_a_local_checkpoint_loads_whole_and_its_fingerprint_is_its_content(tmp_path: Path) -> None:
    config = ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, max_length=64)
    model = ASTModel(config)
    for folder in ("one", "two"):
        model.save_pretrained(tmp_path / folder)
    one, two = resolve(str(tmp_path / "one")), resolve(str(tmp_path / "two"))
    assert one.description.fingerprint == two.description.fingerprint
    backbone = one.cls.load(one.folder, 64)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in backbone.model.state_dict().items())

    with torch.no_grad():
        model.layernorm.bias += 1
    model.save_pretrained(tmp_path / "two")
    assert resolve(str(tmp_path / "two")).description.fingerprint != one.description.fingerprint


def test_a_checkpoint_that_lacks_tensors_is_refused(tmp_path: Path) -> None:
    model = ASTModel(ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64))
    kept = {name: tensor for name, tensor in model.state_dict().items() if "fc1" not in name}
    model.save_pretrained(tmp_path, state_dict=kept)
    source = resolve(str(tmp_path))
    with pytest.raises(UserError, match="lacks 2 tensors"):
        source.cls.load(source.folder, 100)


def test_damaged_checkpoints_are_one_line(tmp_path: Path) -> None:
    model = ASTModel(ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64))
    model.save_pretrained(tmp_path)
    source = resolve(str(tmp_path))
    for damage in (b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", (tmp_path / "model.safetensors").read_bytes()[:-100]):
        (tmp_path / "model.safetensors").write_bytes(damage)
        with pytest.raises(UserError, match="weights cannot be loaded|lacks") as error:
            source.cls.load(source.folder, 100)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "setting",
    [
        {"hidden_size": "wide"},
        {"hidden_size": 0},
        {"hidden_act": "gellu"},
        {"time_stride": 0},
        {"num_hidden_layers": -1},
        {"model_type": ["a", "b"]},
        {"model_type": "whisper"},
    ],
)
def test_a_config_that_makes_no_model_is_one_line(tmp_path: Path, setting: dict[str, object]) -> None:
    ASTModel(ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | setting))
    with pytest.raises(UserError, match="does not describe a model|is not supported|no readable config") as error:
        resolve(str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"intermediate_size": 128}, r"tensor layers.0.mlp.fc1.bias is \[64\], config.json wants \[128\]"),
        ({"num_attention_heads": 3}, r"tensor layers.0.attention.k_proj.bias is \[32\], config.json wants \[30\]"),
        ({"num_hidden_layers": 1}, "16 tensors have no place in its config, .*layers?.1"),
        ({"num_hidden_layers": 3}, "lacks 16 tensors"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_refused(
    tmp_path: Path, setting: dict[str, object], message: str
) -> None:
    small = ASTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    ASTModel(small).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | setting))
    source = resolve(str(tmp_path))
    with pytest.raises(UserError, match=message):
        source.cls.load(source.folder, 100)


def test_a_classification_checkpoint_gives_its_backbone(tmp_path: Path) -> None:
    """The published checkpoint is one: its head is left behind, its backbone whole."""
    config = ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    model = ASTForAudioClassification(config)
    model.save_pretrained(tmp_path)
    source = resolve(str(tmp_path))
    loaded = source.cls.load(source.folder, 1024).model.state_dict()
    stored = model.audio_spectrogram_transformer.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())


def test_mini_and_mini_random_are_the_same_on_every_load_and_of_one_shape() -> None:
    for family, note in ((Mini, "pretrained on generated sounds"), (MiniRandom, "random weights, not pretrained")):
        first, second = family.load(None, 100), family.load(None, 100)
        assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())
        assert note in family.describe(None).note
    assert Mini.describe(None).geometry == MiniRandom.describe(None).geometry
    assert Mini.describe(None).fingerprint != MiniRandom.describe(None).fingerprint
    shapes = [
        {name: tensor.shape for name, tensor in made.load(None, 100).state_dict().items()}
        for made in (Mini, MiniRandom)
    ]
    assert shapes[0] == shapes[1]


def test_bundled_weights_that_are_damaged_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(mini.HERE, tmp_path / "mini")
    monkeypatch.setattr(mini, "HERE", tmp_path / "mini")
    assert Mini.load(None, 100).total_parameters() > 1e6
    content = bytearray((tmp_path / "mini" / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "mini" / "model.safetensors").write_bytes(content)
    for use in (lambda: Mini.load(None, 100), lambda: Mini.describe(None)):
        with pytest.raises(UserError, match="missing or damaged; install petl-bench again"):
            use()
