"""From ``--backbone`` to a class and a folder: a bundled name, a local folder or a Hugging Face hub name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, StrictDataclassError

from petl_bench.backbones.base import Backbone, Description
from petl_bench.errors import UserError, nearest
from petl_bench.registry import BACKBONES


@dataclass(frozen=True)
class BackboneSource:
    """A backbone that can be loaded: its label, its class, its checkpoint folder and what is known before loading."""

    label: str
    cls: type[Backbone]
    folder: Path | None
    description: Description


def resolve(name: str) -> BackboneSource:
    """Find what ``name`` means. Raises UserError: what was looked for, where, and how to give a local folder."""
    if name in BACKBONES.names():
        cls: type[Backbone] = BACKBONES.load(name).cls
        if cls.model_type is not None:
            raise UserError(
                f"--backbone {name} names a family of models: give the folder or hub name of one, for example "
                "MIT/ast-finetuned-audioset-10-10-0.4593"
            )
        return BackboneSource(name, cls, None, cls.describe(None))
    folder = Path(name).expanduser()
    label = folder.resolve().name
    if not folder.is_dir():
        if name.count("/") != 1 or name.startswith(("/", ".", "~")):
            bundled = [known for known in BACKBONES.names() if BACKBONES.load(known).cls.model_type is None]
            raise UserError(
                f"--backbone {name}: no such folder and no bundled backbone{nearest(name, bundled)}; give "
                f"{', '.join(bundled)}, a folder with config.json and *.safetensors, or a hub name such as "
                "MIT/ast-finetuned-audioset-10-10-0.4593"
            )
        folder, label = _from_hub(name), name
    cls = _family_of(folder)
    try:
        return BackboneSource(label, cls, folder, cls.describe(folder))
    except (OSError, ValueError, TypeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--backbone {folder}: config.json does not describe a model: {reason}") from error


def _from_hub(name: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", "*.safetensors"]))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].removeprefix("Got: ")
        raise UserError(
            f"backbone {name}: not in the hub cache {constants.HF_HUB_CACHE} and the Hugging Face hub gave nothing "
            f"({reason}); pass a local copy with --backbone FOLDER (config.json and model.safetensors), or "
            "--backbone mini"
        ) from error


def _family_of(folder: Path) -> type[Backbone]:
    try:
        model_type = json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"--backbone {folder}: no readable config.json of a model in it") from error
    families = {cls.model_type: cls for name in BACKBONES.names() if (cls := BACKBONES.load(name).cls).model_type}
    if model_type not in families:
        raise UserError(f"--backbone {folder}: model_type '{model_type}' is not supported; supported: "
                        f"{', '.join(sorted(families))}")  # fmt: skip
    family: type[Backbone] = families[model_type]
    return family
