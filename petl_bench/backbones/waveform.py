"""Transformers on a convolutional encoder of the waveform, as wav2vec 2.0 has it (Baevski et al., arXiv 2006.11477)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.folder import load_model, weight_digests
from petl_bench.backbones.keys_values import CHANGEABLE_ATTENTION, change_keys_values, forget_changes
from petl_bench.backbones.sites import Description, Geometry, KeysValues, LayerSite, ModelSite, extended
from petl_bench.backbones.waveform_folder import SETTINGS, config_of, geometry_of, is_no_trunk, normalises_clips
from petl_bench.canonical import digest

IN_LAYER: dict[str, str] = {
    "layer_in": "",
    "mhsa": "attention",
    "ffn": "feed_forward",
    "q": "attention.q_proj",
    "k": "attention.k_proj",
    "v": "attention.v_proj",
    "o": "attention.out_proj",
    "fc1": "feed_forward.intermediate_dense",
    "fc2": "feed_forward.output_dense",
}
IN_MODEL: dict[str, str] = {"patch_embedding": "feature_projection.projection", "tokens_in": "encoder.dropout"}

VARIANCE_FLOOR = 1e-7


class Waveform(Backbone):
    """A family of models of raw audio, ``[batch, samples]`` at 16 kHz with NaN where a clip has ended.

    Clips are normalised to mean 0 and variance 1 where the checkpoint's preprocessor_config.json says so. Models whose
    convolutions normalise each frame (``feat_extract_norm = "layer"``) were pretrained with an attention mask: frames
    of padding are hidden from attention, 0 before every layer, left out of the mean that the head reads, and told to
    modules of methods that mix tokens (``padding``). The others
    (``"group"``) know no mask: padding is silence to them and counts, as transformers' documentation asks for.
    Hidden states and tokens handed out are NaN at frames of padding, where there is a mask.

    Norms: ``norm_mhsa`` and ``norm_ffn`` feed attention and FFN, ``norm_final`` makes the tokens. In a pre-norm model
    (``do_stable_layer_norm``) these are a layer's two norms and the encoder's. A post-norm layer normalises its
    sublayers' output instead: there ``norm_ffn`` is the layer's first norm, ``norm_mhsa`` the last norm of the layer
    before (the encoder's, for the first layer), and ``norm_final`` the last norm of the last layer. Either way a model
    of L layers has 2 L + 1 norms, each at one site.

    Dropout, LayerDrop and the masking of frames are off in training too. The convolutions over samples never train, the
    positional one in full fine-tuning alone: 90 M parameters at base size, as arXiv 2312.03694, Table 3, counts.
    """

    files: ClassVar[tuple[str, ...]] = ("config.json", "preprocessor_config.json")
    config_class: ClassVar[Any]
    model_class: ClassVar[Any]
    model: Any

    def __init__(self, model: nn.Module, geometry: Geometry, normalises: bool) -> None:
        super().__init__(model, geometry)
        config = self.model.config
        self.normalises = normalises
        self.post_norm = not config.do_stable_layer_norm
        self.masks = config.feat_extract_norm == "layer"
        self.model.feature_extractor._freeze_parameters()  # else it asks for gradients of samples

    @classmethod
    def describe(cls, folder: Path | None) -> Description:
        assert folder is not None
        config = config_of(cls.config_class, folder)
        with torch.device("meta"):
            cls.model_class(config)  # raises where the settings make no model
        settings = [getattr(config, name, None) for name in SETTINGS]
        fingerprint = digest([settings, normalises_clips(folder), weight_digests(folder)])
        return Description(geometry_of(config), fingerprint)

    @classmethod
    def load(cls, folder: Path | None, frames: int, position_embeddings: str = "adapted") -> Self:
        """No weights depend on the length: ``frames`` and ``position_embeddings`` change nothing."""
        assert folder is not None
        config = config_of(cls.config_class, folder)
        model = load_model(cls.model_class, folder, is_no_trunk(cls.model_class.base_model_prefix), config=config)
        return cls.of(model, normalises_clips(folder))

    @classmethod
    def of(cls, model: Any, normalises: bool) -> Self:
        """Wrap a model whose weights are loaded and whose configuration is that of ``config_of``."""
        cls.open_attention(model)
        return cls(model, geometry_of(model.config), normalises)

    def module_at(self, site: LayerSite | ModelSite, layer: int | None) -> nn.Module:
        found: nn.Module
        if layer is None:
            found = self._final_norm() if site == "norm_final" else self.model.get_submodule(IN_MODEL[site])
            return found
        layers = self.model.encoder.layers
        if site == "norm_ffn":
            found = layers[layer].layer_norm if self.post_norm else layers[layer].final_layer_norm
        elif site == "norm_mhsa" and self.post_norm:
            found = layers[layer - 1].final_layer_norm if layer else self.model.encoder.layer_norm
        elif site == "norm_mhsa":
            found = layers[layer].layer_norm
        else:
            found = layers[layer].get_submodule(IN_LAYER[site])
        return found

    def fine_tuned(self) -> dict[str, nn.Parameter]:
        everything = super().fine_tuned().items()
        return {name: tensor for name, tensor in everything if not name.startswith("model.feature_extractor.")}

    def is_padding(self, features: Tensor) -> Tensor:
        return features.isnan()

    def tokens(self, features: Tensor) -> Tensor:
        hidden, used = self._embedded(features)
        return self._finished(hidden, used, 0)

    def hidden(self, features: Tensor, layers: int) -> Tensor:
        hidden, used = self._embedded(features)
        if not self.post_norm or layers < self.geometry.layers:
            return _marked(self._through(hidden, used, 0, layers), used)
        seen: list[Tensor] = []
        handle = self._final_norm().register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
        try:
            self._through(hidden, used, 0, layers)
        finally:
            handle.remove()
        return _marked(seen[0], used)

    def from_hidden(self, hidden: Tensor, layers: int) -> Tensor:
        used = ~hidden[..., 0].isnan() if self.masks else None
        self.padding.used = used
        if self.post_norm and layers == self.geometry.layers:
            return _marked(self._final_norm()(_silenced(hidden, used)), used)
        return self._finished(_silenced(hidden, used), used, layers)

    def pool(self, tokens: Tensor) -> Tensor:
        """Mean over the tokens that the head reads, without those of padding where these are told apart."""
        if not self.masks or self.pooled is not None:
            return super().pool(tokens)
        padding = tokens.isnan()
        return tokens.masked_fill(padding, 0.0).sum(dim=1) / (~padding).sum(dim=1)

    def on_keys_values(self, layer: int, change: KeysValues) -> None:
        change_keys_values(self.module_at("mhsa", layer), change)

    def detach(self) -> None:
        for layer in range(self.geometry.layers):
            forget_changes(self.module_at("mhsa", layer))
        super().detach()

    @classmethod
    def open_attention(cls, model: Any) -> None:
        """Let a method change keys and values in a model's attention."""
        model.set_attn_implementation(CHANGEABLE_ATTENTION)

    def through_layer(self, layer: int, hidden: Tensor, mask: Tensor | None, carried: Any) -> tuple[Tensor, Any]:
        """A layer's output, and what it hands to the next layer beside it.

        ``mask`` is true at keys that are attended to, ``[batch, 1, 1, tokens]``, without tokens that a method adds.
        """
        return self.model.encoder.layers[layer](hidden, attention_mask=mask), carried

    def _embedded(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        """The first layer's input ``[batch, tokens, hidden]``, and which of its frames are not padding."""
        samples = self.prepared(waveform)
        model, encoder = self.model, self.model.encoder
        projected = model.feature_projection(model.feature_extractor(samples).transpose(1, 2))
        hidden: Tensor = projected[0] if isinstance(projected, tuple) else projected
        used = None
        if self.masks:
            lengths = (~waveform.isnan()).sum(dim=1, keepdim=True)
            for kernel, stride in zip(model.config.conv_kernel, model.config.conv_stride, strict=True):
                lengths = (lengths - kernel) // stride + 1
            used = torch.arange(hidden.shape[1], device=hidden.device) < lengths
        self.padding.used = used
        hidden = _silenced(hidden, used)
        hidden = hidden + encoder.pos_conv_embed(hidden)
        return encoder.dropout(encoder.layer_norm(hidden) if self.post_norm else hidden), used

    def prepared(self, waveform: Tensor) -> Tensor:
        """Samples as transformers' Wav2Vec2FeatureExtractor makes them, ``[batch, samples]``.

        Where there is no attention mask it takes padding for part of the clip.
        """
        padding = waveform.isnan()
        samples = waveform.masked_fill(padding, 0.0)
        if not self.normalises:
            return samples
        counted = ~padding if self.masks else torch.ones_like(padding)
        number = counted.sum(dim=1, keepdim=True)
        deviations = (samples - samples.sum(dim=1, keepdim=True) / number) * counted
        variance = deviations.square().sum(dim=1, keepdim=True) / number
        return deviations / (variance + VARIANCE_FLOOR).sqrt()

    def _through(self, hidden: Tensor, used: Tensor | None, first: int, end: int) -> Tensor:
        """Hidden states behind the layers from ``first`` to the one before ``end``."""
        mask = None if used is None else used[:, None, None]
        carried: Any = None
        for layer in range(first, end):
            hidden, carried = self.through_layer(layer, _silenced(hidden, used), mask, carried)
        return hidden

    def _finished(self, hidden: Tensor, used: Tensor | None, first: int) -> Tensor:
        """Tokens from the input of layer ``first``."""
        hidden = self._through(hidden, used, first, self.geometry.layers)
        return _marked(hidden if self.post_norm else self._final_norm()(hidden), used)

    def _final_norm(self) -> nn.Module:
        encoder = self.model.encoder
        norm: nn.Module = encoder.layers[-1].final_layer_norm if self.post_norm else encoder.layer_norm
        return norm


def _silenced(hidden: Tensor, used: Tensor | None) -> Tensor:
    """Hidden states with 0 at frames of padding; tokens that a method put before the frames stay."""
    if used is None:
        return hidden
    return hidden.masked_fill(~extended(used, hidden.shape[1], True)[..., None], 0.0)


def _marked(hidden: Tensor, used: Tensor | None) -> Tensor:
    """Hidden states with NaN at frames of padding."""
    if used is None:
        return hidden
    return hidden.masked_fill(~extended(used, hidden.shape[1], True)[..., None], torch.nan)
