"""A checkpoint folder in Hugging Face format: its weights loaded by transformers, with every finding checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from petl_bench.errors import UserError, one_line


def load_model(model_class: Any, folder: Path, may_be_left_out: Callable[[str], bool], **options: Any) -> Any:
    """The model of a folder in float32, of safetensors alone; ``options`` go to ``from_pretrained``.

    Raises UserError where tensors are missing, of another size, or have no place and ``may_be_left_out`` says no.
    """
    try:
        with quiet_transformers():
            model, report = model_class.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **options,
            )
    except Exception as error:  # whatever transformers makes of the files
        raise UserError(f"{folder}: the weights cannot be loaded: {one_line(error)}") from error
    if mismatched := sorted(report["mismatched_keys"]):
        name, stored, wanted = mismatched[0]
        raise UserError(f"{folder}: tensor {name} is {list(stored)}, config.json wants {list(wanted)}")
    if missing := sorted(report["missing_keys"]):
        raise UserError(f"{folder}: the checkpoint lacks {len(missing)} tensors of its config, {missing[0]} first")
    if surplus := sorted(name for name in report["unexpected_keys"] if not may_be_left_out(name)):
        raise UserError(f"{folder}: {len(surplus)} tensors have no place in its config, {surplus[0]} first")
    return model


def weight_digests(folder: Path) -> list[str]:
    """SHA-256 of every file of weights. Raises UserError where there is none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(
            f"{folder} holds no *.safetensors weights (pickled weights are not loaded unless --allow-pickle is given)"
        )
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' own progress bars and load reports, whose findings are checked here."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
