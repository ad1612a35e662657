"""A small bundled AST, pretrained on generated sounds alone: no download (README.md beside this file)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from petl_bench.backbones.ast import AST
from petl_bench.backbones.sites import Description
from petl_bench.errors import UserError

HERE = Path(__file__).parent
SHA256 = {
    "model.safetensors": "736a6aa9b3050699660681e9c9531112d486f368565a3f95f2772b1a82334b7b",
    "config.json": "0be254aa666072209a0d17f42dff677aed9e3fd56de6d34084cbe00ee17f79e1",
}


class Mini(AST):
    """1.2 M parameters: 6 layers, hidden 128, patch and stride 16, native length 512 frames."""

    model_type = None

    @classmethod
    def describe(cls, folder: Path | None) -> Description:
        verify("config.json", "model.safetensors")
        return replace(super().describe(HERE), note="small, pretrained on generated sounds alone")

    @classmethod
    def load(cls, folder: Path | None, frames: int, position_embeddings: str = "adapted") -> AST:
        verify("config.json", "model.safetensors")
        return super().load(HERE, frames, position_embeddings)


def verify(*names: str) -> None:
    """Raise UserError where a bundled file is not the published one."""
    for name in names:
        path = HERE / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[name]:
            raise UserError(f"{path}: a bundled file is missing or damaged; install petl-bench again")
