"""An AST-base-sized checkpoint in Hugging Face format, random weights, on real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ASTConfig, ASTModel

from petl_bench.records import read_predictions, read_record
from tests.studies import Study


@pytest.mark.slow
def test_one_fold_of_esc10_at_full_size(shared_data: Path, tmp_path: Path, study: Study) -> None:
    torch.manual_seed(0)
    ASTModel(ASTConfig()).save_pretrained(tmp_path / "base")
    outcome = study.run(
        methods=("conformer",),
        dataset="esc10",
        backbone=str(tmp_path / "base"),
        data_dir=shared_data / "ESC-10",
        epochs=1,
        limit=1,
        settings=("esc10.features.frames=100",),
        batch_size=10,
        precision="bf16",
    )
    assert (outcome.trained, outcome.failed) == (1, [])
    (folder,) = study.tree.run_folders().values()
    info = read_record(folder).train_info
    assert info.num_total_params == 85_339_392  # at 500 frames, with 480 more positions of 768, it has 85,708,032
    assert info.published_count == 268_512
    assert np.isfinite(read_predictions(folder).test_logits).all()
