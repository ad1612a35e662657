"""From ``--backbone`` to a class and a folder: a bundled name, a local folder or a Hugging Face hub name."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from petl_bench.backbones import pickled
from petl_bench.backbones.ast import AST
from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Description
from petl_bench.canonical import digest
from petl_bench.errors import AbsentError, UserError, nearest, one_line
from petl_bench.registry import BACKBONES


@dataclass(frozen=True)
class BackboneSource:
    """A backbone that can be loaded: its label, its class, its checkpoint folder and what is known before loading."""

    label: str
    cls: type[Backbone]
    folder: Path | None
    description: Description


def resolve(name: str, allow_pickle: bool = False) -> BackboneSource:
    """Find what ``name`` means; weights in a pickle are taken only where that is allowed.

    Raises UserError: what was looked for, where, and how to give a local folder.
    """
    if not name.strip():
        raise UserError("--backbone '': give mini, a checkpoint folder or a hub name")
    if name in BACKBONES.names():
        member = BACKBONES.load(name).cls
        if member.model_type is not None:
            raise UserError(
                f"--backbone {name} names a family of models: give the folder or hub name of one"
                + (f", for example {member.example}" if member.example else "")
            )
        return _source(name, name, None)
    folder = Path(name).expanduser()
    label = folder.resolve().name
    if not folder.is_dir():
        if name.count("/") != 1 or name.startswith(("/", ".", "~")):
            bundled = [known for known in BACKBONES.names() if BACKBONES.load(known).cls.model_type is None]
            raise UserError(
                f"--backbone {name}: no such folder and no bundled backbone{nearest(name, bundled)}; give "
                f"{', '.join(bundled)}, a folder with config.json and *.safetensors, or a hub name such as "
                f"{AST.example}"
            )
        folder, label = _from_hub(name, allow_pickle), name
    try:
        family = _family_of(folder)
        if allow_pickle and not any(folder.glob("*.safetensors")) and any(folder.glob(pickled.PATTERN)):
            folder = pickled.as_safetensors(folder, BACKBONES.load(family).cls.files)
        return _source(family, label, folder)
    except UserError:
        raise
    except Exception as error:  # whatever transformers makes of the settings
        raise UserError(f"--backbone {folder}: config.json does not describe a model: {one_line(error)}") from error


def _from_hub(name: str, allow_pickle: bool) -> Path:
    files = sorted({file for member in BACKBONES.names() for file in BACKBONES.load(member).cls.files})
    try:
        folder = Path(snapshot_download(name, allow_patterns=[*files, "*.safetensors"]))
        if allow_pickle and not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*files, pickled.PATTERN]))
        return folder
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].removeprefix("Got: ")
        raise AbsentError(
            f"backbone {name}: not in the hub cache {constants.HF_HUB_CACHE} and the Hugging Face hub gave nothing "
            f"({reason}); pass a local copy with --backbone FOLDER (config.json and model.safetensors), or "
            "--backbone mini"
        ) from error


def _source(member: str, label: str, folder: Path | None) -> BackboneSource:
    """Describe what a registered class makes of a folder; code that is not built in is part of the fingerprint."""
    implementation = BACKBONES.load(member)
    description: Description = implementation.cls.describe(folder)
    if implementation.source:
        fingerprint = digest([description.fingerprint, implementation.source])
        description = replace(description, fingerprint=fingerprint)
    return BackboneSource(label, implementation.cls, folder, description)


def _family_of(folder: Path) -> str:
    """Name of the registered family that loads the folder's model type."""
    try:
        model_type = json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"--backbone {folder}: no readable config.json of a model in it") from error
    families = {BACKBONES.load(name).cls.model_type: name for name in BACKBONES.names()}
    if not isinstance(model_type, str) or model_type not in families:
        supported = ", ".join(sorted(family for family in families if family))
        raise UserError(f"--backbone {folder}: model_type {model_type!r} is not supported; supported: {supported}")
    return families[model_type]
