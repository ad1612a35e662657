"""A trained adapter on its backbone again: the model of a run's test, from files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from petl_bench.adapters.places import known_place
from petl_bench.adapters.saved import AdapterConfig, SavedAdapter, read_adapter
from petl_bench.backbones.base import Backbone
from petl_bench.backbones.resolve import BackboneSource, resolve
from petl_bench.benchmarks.features import normalised
from petl_bench.errors import AbsentError, UserError
from petl_bench.lookup import own_code
from petl_bench.methods.base import Method
from petl_bench.plan import PlannedRun
from petl_bench.records import DamagedError
from petl_bench.registry import METHODS
from petl_bench.training.inputs import precision_of
from petl_bench.training.run import attached


@dataclass(frozen=True)
class Needs:
    """What a user says of things that an adapter does not hold.

    backbone: where it is, if its name does not say. code: of a method that is not built in, ``path.py``.
    """

    backbone: str | None = None
    code: str | None = None
    allow_pickle: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class TrainedModel:
    """A backbone that holds a trained adapter and its head, in eval mode."""

    config: AdapterConfig
    method: Method
    backbone: Backbone
    device: torch.device
    checkpoint: Path | None
    """Folder of the bare backbone's files; a bundled one has none."""

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """Features as ``benchmarks.features.framed`` makes them -> logits ``[batch, classes]``, float32 on the CPU.

        In the run's own precision.
        """
        inputs = normalised(features.to(self.device), self.config.normalisation.mean, self.config.normalisation.scale)
        with precision_of(self.config.spec, self.device):
            logits: Tensor = self.backbone(inputs)
        return logits.float().cpu()


def load_model(folder: Path, needs: Needs | None = None) -> TrainedModel:
    """The model of the adapter in a folder.

    Raises UserError, one line, where the adapter is damaged, its backbone is not here or another one, or its method's
    code is not what it was trained with.
    """
    needs = needs or Needs()
    adapter = read_adapter(folder)
    source = backbone_source(adapter.config, needs)
    backbone = bare_backbone(source, adapter.config)
    method = attached(_planned(adapter.config, needs), backbone)
    _restore(backbone, adapter, folder)
    device = torch.device(needs.device)
    backbone.to(device).eval()
    return TrainedModel(adapter.config, method, backbone, device, source.folder)


def backbone_source(config: AdapterConfig, needs: Needs) -> BackboneSource:
    """Where the backbone is that an adapter was trained on.

    As the user says, else in the folder that a run on this machine had it from, else by its name. Raises UserError
    where it is not here, or is another one.
    """
    name = needs.backbone or known_place(config.spec.backbone) or config.backbone
    try:
        source = resolve(name, needs.allow_pickle)
    except UserError as error:
        if needs.backbone is not None:
            raise
        raise AbsentError(f"it was trained on backbone {name}, which --backbone FOLDER gives: {error}") from error
    found, wanted = source.description.fingerprint, config.spec.backbone
    if found != wanted:
        raise UserError(
            f"backbone {name} has the fingerprint {found}, the adapter was trained on {config.backbone} with "
            f"{wanted}: give that very checkpoint with --backbone"
        )
    return source


def bare_backbone(source: BackboneSource, config: AdapterConfig) -> Backbone:
    """The backbone as it was before an adapter's run, for inputs of the run's length."""
    spec = config.spec
    return source.cls.load(source.folder, spec.data.features.frames, spec.switches.position_embeddings)


def _planned(config: AdapterConfig, needs: Needs) -> PlannedRun:
    """The adapter's run, with the method's code checked. Raises UserError where that is another."""
    method = config.spec.method
    own = method.source.startswith("sha256:")
    code = needs.code or (own_code(method.implementation, method.source) if own else method.implementation)
    if code is None:
        raise AbsentError(
            f"method {config.method} is code of its own ({method.implementation}, {method.source}), which is in no "
            "file of methods/ here: give it with --method-code path.py"
        )
    implementation = METHODS.load(code)
    if (implementation.name, implementation.source) != (method.implementation, method.source):
        raise UserError(
            f"method code {code} is {_named(implementation.name, implementation.source)}, the adapter was trained with "
            f"{_named(method.implementation, method.source)}"
        )
    if implementation.cls.numerics_version != method.numerics_version:
        raise UserError(
            f"method {method.implementation} computes other numbers now (version {implementation.cls.numerics_version})"
            f" than the adapter was trained with ({method.numerics_version}): use petl-bench {config.petl_bench}"
        )
    return PlannedRun(config.spec, config.run_key, code, config.method, config.benchmark, config.backbone)


def _named(name: str, source: str) -> str:
    return f"{name} ({source})" if source else name


def _restore(backbone: Backbone, adapter: SavedAdapter, folder: Path) -> None:
    """Give a backbone the saved tensors. Raises DamagedError where they are not its own."""
    own = {name: tuple(tensor.shape) for name, tensor in backbone.trained_state().items()}
    saved = {name: array.shape for name, array in adapter.tensors.items()}
    if own != saved:
        first = next(name for name in sorted(own.keys() | saved.keys()) if own.get(name) != saved.get(name))
        raise DamagedError(f"{folder}: tensor {first} is {saved.get(first)}, the model has {own.get(first)}")
    backbone.restore({name: torch.from_numpy(array) for name, array in adapter.tensors.items()})
