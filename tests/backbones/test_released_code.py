"""Our methods give the logits of the code released with arXiv 2312.03694, on the same tensors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from petl_bench.backbones.ast import AST
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.lora import Lora

CLASSES = 5
CONFORMER_NAMES = {
    "down": "pwise_conv1",
    "depthwise": "dwise_conv",
    "norm": "bnorm",
    "up": "pwise_conv2",
}


@pytest.fixture
def reference(shared_data: Path) -> Path:
    return shared_data / "petl_ast_reference"


def settings(reference: Path, case: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((reference / "index.json").read_text())[case]
    return found


def backbone_with(reference: Path, method: Conformer | Lora) -> AST:
    backbone = AST.load(reference / "checkpoint", frames=64)
    method.attach(backbone)
    backbone.add_head(CLASSES)
    return backbone


def tensors_of(reference: Path, case: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    tensors = load_file(reference / f"{case}.safetensors")
    ours = {name.removeprefix("param:"): tensor for name, tensor in tensors.items() if name.startswith("param:")}
    return ours, tensors


def copy(backbone: AST, tensors: dict[str, Tensor]) -> None:
    """Copy tensors under our names, each of its shape up to a kernel axis of one."""
    state = backbone.state_dict()
    for name, tensor in tensors.items():
        with torch.no_grad():
            state[name].copy_(tensor.reshape(state[name].shape))


def head(released: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"head.{kind}": released[f"classification_head.{kind}"] for kind in ("weight", "bias")}


def assert_same_logits(backbone: AST, tensors: dict[str, Tensor]) -> None:
    with torch.no_grad():
        torch.testing.assert_close(backbone.eval()(tensors["input"]), tensors["logits_eval"], atol=1e-5, rtol=0)
        torch.testing.assert_close(backbone.train()(tensors["input"]), tensors["logits_train"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel_size", [8, 31])
def test_conformer_gives_the_released_logits(reference: Path, kernel_size: int) -> None:
    case = f"conformer_pfeiffer_parallel_k{kernel_size}"
    released, tensors = tensors_of(reference, case)
    method = Conformer(Conformer.Config(reduction_rate=8, kernel_size=kernel_size))
    backbone = backbone_with(reference, method)
    mapped = head(released)
    for layer in range(3):
        for ours, theirs in CONFORMER_NAMES.items():
            prefix = f"model.encoder.layer.{layer}.adapter_module_FFN.{theirs}."
            found = {name.removeprefix(prefix): tensor for name, tensor in released.items() if name.startswith(prefix)}
            assert found
            mapped |= {f"attachments.layer{layer}_ffn_conformer.{ours}.{k}": tensor for k, tensor in found.items()}
    copy(backbone, mapped)
    assert_same_logits(backbone, tensors)


@pytest.mark.parametrize("kernel_size", [8, 31])
def test_conformer_counts_what_the_released_code_trains(reference: Path, kernel_size: int) -> None:
    method = Conformer(Conformer.Config(reduction_rate=8, kernel_size=kernel_size))
    backbone = backbone_with(reference, method)
    ours = sum(backbone.parameters_by_role().values()) + method.published_surplus(backbone.geometry)
    assert ours == settings(reference, f"conformer_pfeiffer_parallel_k{kernel_size}")["trainable_parameters"]


def test_lora_gives_the_released_logits_and_count(reference: Path) -> None:
    released, tensors = tensors_of(reference, "lora_qv")
    case = settings(reference, "lora_qv")
    rank = 64 // int(str(case["reduction_rate"]))
    scale = float(str(case["alpha"])) / float(str(case["reduction_rate"]))
    backbone = backbone_with(reference, Lora(Lora.Config(rank=rank, alpha=scale * rank)))
    mapped = head(released)
    for layer in range(3):
        for target in ("q", "v"):
            for side in ("down", "up"):
                name = f"model.encoder.layer.{layer}.attention.attention.lora_{side}_{target}.weight"
                mapped[f"attachments.layer{layer}_{target}_lora.{side}"] = released[name]
    copy(backbone, mapped)
    assert_same_logits(backbone, tensors)
    assert sum(backbone.parameters_by_role().values()) == case["trainable_parameters"]
