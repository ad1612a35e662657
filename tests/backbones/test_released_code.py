"""Our methods give the logits, losses and gradients of the code released with arXiv 2312.03694, on the same tensors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from petl_bench.backbones.ast import AST
from petl_bench.methods.base import Method
from petl_bench.methods.bottleneck import Bottleneck
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.lora import Lora
from petl_bench.methods.prefix import Prefix
from petl_bench.methods.prompt import Prompt
from petl_bench.switches import PROFILES

CLASSES, LAYERS = 5, 3
PUBLISHED = PROFILES["published"]
METHODS: dict[str, Method] = {
    "conformer_pfeiffer_parallel_k8": Conformer(Conformer.Config(reduction_rate=8), PUBLISHED),
    "conformer_pfeiffer_parallel_k31": Conformer(Conformer.Config(reduction_rate=8, kernel_size=31), PUBLISHED),
    "conformer_pfeiffer_parallel_k8_zeropos": Conformer(Conformer.Config(reduction_rate=8), PUBLISHED),
    "bottleneck_pfeiffer_parallel": Bottleneck(Bottleneck.Config(reduction_rate=8), PUBLISHED),
    "lora_qv": Lora(Lora.Config(rank=8, alpha=8), PUBLISHED),
    "prefix_24": Prefix(Prefix.Config(), PUBLISHED),
    "prompt_deep_5": Prompt(Prompt.Config(tokens=5), PUBLISHED),
    "prompt_shallow_7": Prompt(Prompt.Config(tokens=7, deep=False), PUBLISHED),
}
ATTACHED = {
    r"model\.encoder\.layer\.(\d)\.adapter_module_FFN\.pwise_conv1\.(\w+)": r"layer\1_ffn_conformer.down.\2",
    r"model\.encoder\.layer\.(\d)\.adapter_module_FFN\.dwise_conv\.(\w+)": r"layer\1_ffn_conformer.depthwise.\2",
    r"model\.encoder\.layer\.(\d)\.adapter_module_FFN\.bnorm\.(\w+)": r"layer\1_ffn_conformer.norm.\2",
    r"model\.encoder\.layer\.(\d)\.adapter_module_FFN\.pwise_conv2\.(\w+)": r"layer\1_ffn_conformer.up.\2",
    r"model\.encoder\.layer\.(\d)\.adapter_module_FFN\.linear_downsample\.(\w+)": r"layer\1_ffn_bottleneck.down.\2",
    r"model\.encoder\.layer\.(\d)\.adapter_module_FFN\.linear_upsample\.(\w+)": r"layer\1_ffn_bottleneck.up.\2",
    r"model\.encoder\.layer\.(\d)\.attention\.attention\.lora_(\w+)_(\w)\.weight": r"layer\1_\3_lora.\2",
    r"model\.encoder\.layer\.(\d)\.attention\.attention\.key_tokens": r"layer\1_prefix_keys.values",
    r"model\.encoder\.layer\.(\d)\.attention\.attention\.value_tokens": r"layer\1_prefix_values.values",
    r"prompt_embeddings": "layer0_prompts.values",
}
OTHERS = {
    r"classification_head\.(\w+)": r"head.\1",
    r"(?:model\.)?layernorm\.(\w+)": r"model.layernorm.\1",
    r"model\.encoder\.layer\.(\d)\.layernorm_after\.(\w+)": r"model.layers.\1.layernorm_after.\2",
}
DISCARDED = "adapter_module_FFN.lnorm"
PROMPTS_BY_LAYER = "deep_prompt_embeddings"


def our_name(released: str) -> str:
    names = {pattern: f"attachments.{name}" for pattern, name in ATTACHED.items()} | OTHERS
    pattern, name = next((pattern, name) for pattern, name in names.items() if re.fullmatch(pattern, released))
    return re.sub(pattern, name, released)


def our_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The released code's own tensors under our names; deep prompts one by layer, from the second."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        released = name.removeprefix("param:")
        if released == name or DISCARDED in released:
            continue
        if released == PROMPTS_BY_LAYER:
            found |= {f"attachments.layer{at}_prompts.values": prompt for at, prompt in enumerate(tensor, start=1)}
        else:
            found[our_name(released)] = tensor
    return found


class Case:
    """Our method with the released tensors, and what the released code made of them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.tensors = load_file(folder / f"{name}.safetensors")
        self.index: dict[str, Any] = json.loads((folder / "index.json").read_text())[name]
        self.method = METHODS[name]
        frames = self.tensors["input"].shape[1]
        self.backbone = AST.load(folder / "checkpoint", frames, PUBLISHED.position_embeddings)
        self.method.attach(self.backbone)
        self.backbone.add_head(CLASSES)
        ours = our_tensors(self.tensors)
        state = self.backbone.state_dict()
        buffers = {name for name in state if name.startswith("attachments.")}
        assert buffers | {"head.weight", "head.bias"} == ours.keys()
        with torch.no_grad():
            for name, tensor in ours.items():
                state[name].copy_(tensor.reshape(state[name].shape))  # shapes differ by axes of one


@pytest.fixture(params=METHODS)
def case(request: pytest.FixtureRequest, shared_data: Path) -> Case:
    return Case(shared_data / "petl_ast_reference", request.param)


def test_every_reference_case_is_here(shared_data: Path) -> None:
    assert json.loads((shared_data / "petl_ast_reference" / "index.json").read_text()).keys() == METHODS.keys()


def test_logits_are_the_released_ones(case: Case) -> None:
    with torch.no_grad():
        evaluated = case.backbone.eval()(case.tensors["input"])
        trained = case.backbone.train()(case.tensors["input"])
    torch.testing.assert_close(evaluated, case.tensors["logits_eval"], atol=1e-5, rtol=0)
    torch.testing.assert_close(trained, case.tensors["logits_train"], atol=1e-5, rtol=0)


def test_loss_and_gradients_are_the_released_ones(case: Case) -> None:
    """Gradient norms of every tensor that trains there; the ones that are dead there are not here or redundant."""
    backbone = case.backbone.train()
    loss = torch.nn.functional.cross_entropy(backbone(case.tensors["input"]), torch.arange(4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(case.index["loss_train"], abs=1e-5)
    gradients = {name: p.grad for name, p in backbone.named_parameters() if name in backbone.roles}
    compared: set[str] = set()
    for released, norm in case.index["gradient_norms"].items():
        if DISCARDED in released:
            assert norm is None
            continue
        if released == PROMPTS_BY_LAYER:
            names = [f"attachments.layer{layer}_prompts.values" for layer in range(1, LAYERS)]
        else:
            names = [our_name(released)]
        compared.update(names)
        found = torch.stack([gradients[name].norm() for name in names]).norm()  # type: ignore[union-attr]
        assert float(found) == pytest.approx(norm, rel=1e-3, abs=1e-7), released
        assert (norm < 1e-6) == (names[0] in backbone.redundant), released
    assert compared == gradients.keys()


def test_parameters_are_counted_as_released(case: Case) -> None:
    ours = sum(case.backbone.parameters_by_role().values()) + case.method.published_surplus(case.backbone.geometry)
    assert ours == case.index["trainable_parameters"]
