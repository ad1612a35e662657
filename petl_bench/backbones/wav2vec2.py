"""Any wav2vec 2.0 checkpoint, by hub name or local folder (Baevski et al., arXiv 2006.11477)."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import Wav2Vec2Config, Wav2Vec2Model

from petl_bench.backbones.waveform import Waveform


class Wav2Vec2(Waveform):
    """transformers' Wav2Vec2Model: base models are post-norm, large ones mostly pre-norm."""

    model_type: ClassVar[str | None] = "wav2vec2"
    example: ClassVar[str] = "facebook/wav2vec2-base-960h"
    config_class: ClassVar[Any] = Wav2Vec2Config
    model_class: ClassVar[Any] = Wav2Vec2Model
