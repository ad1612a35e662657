"""Weights in a pickle: taken where the user says so, and nothing but tensors is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import ASTConfig, ASTModel

from petl_bench.backbones.resolve import resolve
from petl_bench.errors import UserError


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """A checkpoint whose weights are a pickle, as of before safetensors."""
    config = ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, max_length=64)
    ASTModel(config).save_pretrained(tmp_path / "model")
    torch.save(load_file(tmp_path / "model" / "model.safetensors"), tmp_path / "model" / "pytorch_model.bin")
    (tmp_path / "model" / "model.safetensors").unlink()
    return tmp_path / "model"


def test_pickled_weights_are_loaded_only_where_that_is_allowed(pickled: Path) -> None:
    with pytest.raises(UserError, match="pickled weights are not loaded unless --allow-pickle"):
        resolve(str(pickled))
    first, second = (resolve(str(pickled), allow_pickle=True) for _ in range(2))
    assert first.label == "model"
    assert first.description == second.description
    stored = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    loaded = first.cls.load(first.folder, 64).model.state_dict()
    assert set(loaded) >= {"layers.0.mlp.fc1.weight"}
    assert torch.equal(loaded["layernorm.weight"], stored["layernorm.weight"])


class Payload:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "owned")


def test_code_in_a_pickle_is_never_run(pickled: Path, tmp_path: Path) -> None:
    torch.save({"layernorm.weight": Payload(tmp_path / "owned")}, pickled / "pytorch_model.bin")
    for allowed in (False, True):
        with pytest.raises(UserError, match="pickled|holds more than tensors") as error:
            resolve(str(pickled), allow_pickle=allowed)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "owned").exists()
