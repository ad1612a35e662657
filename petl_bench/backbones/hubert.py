"""Any HuBERT checkpoint, by hub name or local folder (Hsu et al., arXiv 2106.07447)."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import HubertConfig, HubertModel

from petl_bench.backbones.waveform import Waveform


class Hubert(Waveform):
    """transformers' HubertModel: the architecture of wav2vec 2.0, pretrained otherwise."""

    model_type: ClassVar[str | None] = "hubert"
    example: ClassVar[str] = "facebook/hubert-base-ls960"
    config_class: ClassVar[Any] = HubertConfig
    model_class: ClassVar[Any] = HubertModel
