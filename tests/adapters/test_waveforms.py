"""Adapters of models of waveforms leave the house as those of models of log-mel do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from petl_bench.adapters.model import load_model
from petl_bench.adapters.predict import predict_files
from petl_bench.backbones.wav2vec2 import Wav2Vec2
from petl_bench.results import ResultsTree
from tests.adapters.exported import exported, trained, write_clips
from tests.backbones.waveforms import save_checkpoint


@pytest.mark.parametrize("pre_norm", [True, False])
def test_exported_it_gives_the_runs_test_logits(pre_norm: bool, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "backbone", Wav2Vec2, pre_norm=pre_norm)
    changes = {"methods": ("lora",), "backbone": str(tmp_path / "backbone")}
    own = exported(ResultsTree(tmp_path / "results"), tmp_path / "out", **changes).predictions
    files = write_clips(trained(**changes)[1], own.test_ids.tolist(), tmp_path / "clips")
    answers = list(predict_files(load_model(tmp_path / "out"), [str(file) for file in files]))
    assert np.abs(np.stack([answer.logits for answer in answers]) - own.test_logits).max() < 1e-5
