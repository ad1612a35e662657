"""Attention over the keys and values that a method makes of a layer's own, through transformers' AttentionInterface."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from petl_bench.backbones.sites import KeysValues, extended

CHANGEABLE_ATTENTION = "petl_bench_keys_values"
CHANGES = "petl_bench_changes"
"""Attribute of an attention module: what is done to its keys and values, in order."""


def change_keys_values(attention: nn.Module, change: KeysValues) -> None:
    """Let an attention module do one more thing to its keys and values."""
    attention.__dict__.setdefault(CHANGES, []).append(change)


def forget_changes(attention: nn.Module) -> None:
    """Let an attention module use its own keys and values again."""
    attention.__dict__.pop(CHANGES, None)


def changed(attention: nn.Module, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """What is made of an attention module's keys and values, each ``[batch, heads, tokens, channels per head]``."""
    for change in getattr(attention, CHANGES, ()):
        key, value = change(key, value)
    return key, value


def changeable_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """transformers' scaled dot-product attention on the changed keys and values; new ones are attended to."""
    key, value = changed(module, key, value)
    if attention_mask is not None:
        attention_mask = extended(attention_mask, key.shape[2], True)
    output: tuple[Tensor, Tensor | None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return output


AttentionInterface.register(CHANGEABLE_ATTENTION, changeable_attention)
