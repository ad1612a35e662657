"""Any Audio Spectrogram Transformer checkpoint, by hub name or local folder (Gong et al., arXiv 2104.01778)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import ASTConfig, ASTModel

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.folder import load_model, weight_digests
from petl_bench.backbones.keys_values import CHANGEABLE_ATTENTION, change_keys_values, forget_changes
from petl_bench.backbones.sites import Description, Geometry, KeysValues, LayerSite, ModelSite
from petl_bench.canonical import digest

MODULES: dict[str, str] = {
    "layer_in": "",
    "mhsa": "attention",
    "ffn": "mlp",
    "q": "attention.q_proj",
    "k": "attention.k_proj",
    "v": "attention.v_proj",
    "o": "attention.o_proj",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
    "norm_mhsa": "layernorm_before",
    "norm_ffn": "layernorm_after",
    "patch_embedding": "embeddings.patch_embeddings.projection",
    "tokens_in": "embeddings",
    "norm_final": "layernorm",
}

ATTENTION = "sdpa"

SETTINGS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "layer_norm_eps",
    "qkv_bias",
    "patch_size",
    "frequency_stride",
    "time_stride",
    "max_length",
    "num_mel_bins",
)
"""What of a configuration changes a model's numbers."""


class AST(Backbone):
    """transformers' ASTModel. Tokens are [CLS, distillation, patches by frequency row, then time]."""

    model_type: ClassVar[str | None] = "audio-spectrogram-transformer"
    example: ClassVar[str] = "MIT/ast-finetuned-audioset-10-10-0.4593"
    model: ASTModel

    @classmethod
    def describe(cls, folder: Path | None) -> Description:
        assert folder is not None
        config: ASTConfig = ASTConfig.from_pretrained(folder, local_files_only=True)
        if min(config.num_hidden_layers, config.hidden_size, config.num_attention_heads) < 1:
            raise ValueError("it needs at least one layer, one channel and one head")
        with torch.device("meta"):
            ASTModel(config)  # raises where the settings make no model
        weights = weight_digests(folder)
        return cls.description(config, weights)

    @classmethod
    def description(cls, config: ASTConfig, weights: list[str], note: str = "") -> Description:
        """Geometry, and a fingerprint of the settings that change numbers and the digests of the weights."""
        settings = {name: getattr(config, name) for name in SETTINGS}
        geometry = Geometry(
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            bins=config.num_mel_bins,
            patch=config.patch_size,
            token_fan_in=3 * config.patch_size**2,  # three channels, as of the images that VPT's bound is for
            rows=(config.num_mel_bins - config.patch_size) // config.frequency_stride + 1,
        )
        return Description(geometry, digest([settings, weights]), note)

    @classmethod
    def load(cls, folder: Path | None, frames: int, position_embeddings: str = "adapted") -> AST:
        assert folder is not None
        model: ASTModel = load_model(
            ASTModel, folder, lambda name: name.startswith("classifier."), attn_implementation=ATTENTION
        )
        return cls.of(model, frames, position_embeddings)

    @classmethod
    def of(cls, model: ASTModel, frames: int, position_embeddings: str = "adapted") -> AST:
        """Wrap a model whose weights are loaded, with its position embeddings brought to ``frames`` frames."""
        config = model.config
        native = model.embeddings.get_shape(config)
        config.max_length = frames
        grid = model.embeddings.get_shape(config)
        loaded = model.embeddings.position_embeddings
        adapted = adapt_position_embeddings(loaded.detach(), native, grid[1])
        if position_embeddings == "zeros" and grid != native:
            adapted = torch.zeros_like(adapted)
        model.embeddings.position_embeddings = nn.Parameter(adapted.clone())
        return cls(model, cls.description(config, []).geometry)

    def module_at(self, site: LayerSite | ModelSite, layer: int | None) -> nn.Module:
        parent: nn.Module = self.model if layer is None else self.model.layers[layer]
        return parent.get_submodule(MODULES[site])

    def structure(self) -> dict[str, Any]:
        return super().structure() | {"attention function": self.model.config._attn_implementation}

    def tokens(self, features: Tensor) -> Tensor:
        tokens: Tensor = self.model(input_values=features).last_hidden_state
        return tokens

    def drops_out(self) -> bool:
        config = self.model.config
        return config.hidden_dropout_prob > 0 or config.attention_probs_dropout_prob > 0 or super().drops_out()

    def hidden(self, features: Tensor, layers: int) -> Tensor:
        hidden: Tensor = self.model.embeddings(features)
        for layer in self.model.layers[:layers]:
            hidden = layer(hidden)
        return hidden

    def from_hidden(self, hidden: Tensor, layers: int) -> Tensor:
        for layer in self.model.layers[layers:]:
            hidden = layer(hidden)
        tokens: Tensor = self.model.layernorm(hidden)
        return tokens

    def on_keys_values(self, layer: int, change: KeysValues) -> None:
        change_keys_values(self.module_at("mhsa", layer), change)
        self.model.set_attn_implementation(CHANGEABLE_ATTENTION)

    def detach(self) -> None:
        for layer in range(self.geometry.layers):
            forget_changes(self.module_at("mhsa", layer))
        self.model.set_attn_implementation(ATTENTION)
        super().detach()


def adapt_position_embeddings(embeddings: Tensor, grid: tuple[int, int], time: int) -> Tensor:
    """Bring position embeddings ``[1, 2 + rows * columns, hidden]`` of a (rows, columns) grid to ``time`` columns.

    The first two, of the special tokens, stay. Fewer columns are cut from the middle, more are interpolated
    bilinearly, as AST's authors do (YuanGongND/ast, src/models/ast_models.py; arXiv 2104.01778, section 2.2).
    """
    rows, columns = grid
    if time == columns:
        return embeddings
    special, patches = embeddings[:, :2], embeddings[:, 2:]
    plane = patches.transpose(1, 2).reshape(1, -1, rows, columns)
    if time < columns:
        start = columns // 2 - time // 2
        plane = plane[..., start : start + time]
    else:
        plane = nn.functional.interpolate(plane, size=(rows, time), mode="bilinear", align_corners=False)
    return torch.cat([special, plane.flatten(2).transpose(1, 2)], dim=1)
