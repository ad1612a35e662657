"""Any WavLM checkpoint, by hub name or local folder (Chen et al., arXiv 2110.13900)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import WavLMConfig, WavLMModel
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from petl_bench.backbones.keys_values import changed
from petl_bench.backbones.sites import extended
from petl_bench.backbones.waveform import Waveform


class WavLM(Waveform):
    """transformers' WavLMModel. The first layer makes the position bias, which every layer gates on its own."""

    model_type: ClassVar[str | None] = "wavlm"
    example: ClassVar[str] = "microsoft/wavlm-base-plus"
    config_class: ClassVar[Any] = WavLMConfig
    model_class: ClassVar[Any] = WavLMModel

    @classmethod
    def open_attention(cls, model: Any) -> None:
        for layer in model.encoder.layers:
            layer.attention.__class__ = OpenAttention

    def through_layer(self, layer: int, hidden: Tensor, mask: Tensor | None, carried: Any) -> tuple[Tensor, Any]:
        if carried is None and layer > 0:
            carried = self._position_bias(hidden)
        output: tuple[Tensor, Tensor] = self.model.encoder.layers[layer](
            hidden, attention_mask=mask, position_bias=carried
        )
        return output

    def _position_bias(self, hidden: Tensor) -> Tensor:
        """What the first layer would hand on, ``[batch * heads, tokens, tokens]``."""
        bias: Tensor = self.model.encoder.layers[0].attention.compute_bias(hidden.shape[1], hidden.shape[1])
        return bias.repeat(len(hidden), 1, 1)


class OpenAttention(WavLMAttention):  # type: ignore[misc]
    """WavLM's attention with its four linear maps called as modules, so that they are sites.

    transformers hands their weights to torch's multi-head attention, past anything attached to them. The numbers are
    equal up to rounding; written out, as a fused kernel would give others where a gradient reaches the bias. A method's
    new keys get no position bias.
    """

    def torch_multi_head_self_attention(
        self, hidden_states: Tensor, attention_mask: Tensor | None, gated_position_bias: Tensor
    ) -> tuple[Tensor, None]:
        def by_head(projected: Tensor) -> Tensor:
            return projected.view(*projected.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

        query = by_head(self.q_proj(hidden_states))
        key, value = changed(self, by_head(self.k_proj(hidden_states)), by_head(self.v_proj(hidden_states)))
        bias = gated_position_bias.view(-1, self.num_heads, *gated_position_bias.shape[1:]).to(query.dtype)
        bias = extended(bias, key.shape[2], 0.0)
        if attention_mask is not None:
            bias = bias.masked_fill(~extended(attention_mask, key.shape[2], True), -torch.inf)
        weights = (self.scaling * query @ key.transpose(2, 3) + bias).softmax(dim=-1)
        return self.out_proj((weights @ value).transpose(1, 2).flatten(2)), None
