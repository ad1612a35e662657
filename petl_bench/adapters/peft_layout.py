"""LoRA in the layout that ``peft.PeftModel.from_pretrained`` reads (huggingface/peft, LoraConfig)."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from petl_bench.adapters.model import TrainedModel
from petl_bench.files import write_durably
from petl_bench.methods.base import Method
from petl_bench.methods.lora import Lora

PEFT = "peft"
PREFIX = "base_model.model."
"""Before names of the model's modules in a file of peft's."""


def fits_peft(method: Method) -> bool:
    """Whether peft has the method. A class of one's own that derives from LoRA may compute something else."""
    return type(method) is Lora


def write_peft(folder: Path, model: TrainedModel) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``: all that trains but the head.

    Modules are named as the model of transformers names them. peft multiplies by lora_alpha / r.
    """
    method, backbone = model.method, model.backbone
    assert isinstance(method, Lora)
    names = {id(module): name for name, module in backbone.model.named_modules()}
    tensors: dict[str, torch.Tensor] = {}
    targets = []
    for site in method.sites(backbone):
        update, name = method.update_at(backbone, site), names[id(site.module)]
        targets.append(name)
        tensors[f"{PREFIX}{name}.lora_A.weight"] = update.down
        tensors[f"{PREFIX}{name}.lora_B.weight"] = update.up
    norms = [name for name, module in backbone.model.named_modules() if _trains(module)]
    for norm in norms:
        own = backbone.model.get_submodule(norm).named_parameters()
        tensors |= {f"{PREFIX}{norm}.{name}": parameter for name, parameter in own}
    folder.mkdir()
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        folder / "adapter_model.safetensors",
        {"format": "pt"},
    )
    rank = method.config.rank
    said = {
        "peft_type": "LORA",
        "base_model_name_or_path": model.config.backbone,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": method.scale(backbone.geometry) * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": targets,
        "modules_to_save": norms or None,
    }
    write_durably(folder / "adapter_config.json", json.dumps(said, indent=2) + "\n")


def _trains(module: nn.Module) -> bool:
    """Whether parameters of the module's own train: of a model with LoRA, the final norm's."""
    return any(parameter.requires_grad for parameter in module.parameters(recurse=False))
