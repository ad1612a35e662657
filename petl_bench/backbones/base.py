"""Backbone: a frozen pretrained model, what a method puts on it, and the way back to the loaded state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from petl_bench.backbones.condition import bits_of, structure_of
from petl_bench.backbones.sites import Description, Geometry, KeysValues, LayerSite, ModelSite, Padding, Removable, Site

Role = Literal["adapter", "bias", "norm", "head", "backbone"]
METHOD_ROLES = ("adapter", "bias", "norm")
"""Roles that a method gives; the others are given here."""


class Backbone(nn.Module):
    """A loaded model, frozen and in eval mode, that turns features into logits once a head is added.

    Subclasses load a family of models and say where its sites are. Everything else is here: attachments, trained
    parameters and their roles, and ``detach``, which restores the loaded state bit for bit.
    """

    model_type: ClassVar[str | None] = None
    """``model_type`` of the Hugging Face configurations this family loads; None for a bundled backbone."""

    example: ClassVar[str] = ""
    """Hub name of a checkpoint of the family."""

    files: ClassVar[tuple[str, ...]] = ("config.json",)
    """What a checkpoint folder must hold beside the weights."""

    def __init__(self, model: nn.Module, geometry: Geometry) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.geometry = geometry
        self.attachments = nn.ModuleDict()
        self.head: nn.Linear | None
        self.register_module("head", None)
        self.roles: dict[str, Role] = {}
        """Role of every trained parameter, by its name in ``named_parameters``."""
        self.redundant: set[str] = set()
        """Trained parameters that were declared unable to change a training loss."""
        self.padding = Padding()
        self.pooled: tuple[int, ...] | None = None
        """Positions of the tokens that the head reads; None for all."""
        self._copies: dict[str, Tensor] = {}
        self._handles: list[Removable] = []
        self.eval()

    @classmethod
    @abstractmethod
    def describe(cls, folder: Path | None) -> Description:
        """Geometry and fingerprint of the checkpoint in ``folder`` (None: bundled)."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path | None, frames: int, position_embeddings: str = "adapted") -> Backbone:
        """Load for inputs of ``frames`` frames; ``position_embeddings`` is the switch of that name."""

    @abstractmethod
    def module_at(self, site: LayerSite | ModelSite, layer: int | None) -> nn.Module:
        """The module whose input and output are the site."""

    @abstractmethod
    def tokens(self, features: Tensor) -> Tensor:
        """``[batch, frames, bins]`` or ``[batch, samples]`` -> the final norm's output ``[batch, tokens, hidden]``."""

    def is_padding(self, features: Tensor) -> Tensor:
        """Which values of the input are no sound but mark its absence, ``[batch, ...]``."""
        return torch.zeros_like(features, dtype=torch.bool)

    def drops_out(self) -> bool:
        """Whether the model itself is random in training."""
        return any(isinstance(module, nn.Dropout) and module.p > 0 for module in self.model.modules())

    @abstractmethod
    def hidden(self, features: Tensor, layers: int) -> Tensor:
        """Features -> hidden states behind the first ``layers`` layers, ``[batch, tokens, hidden]``; behind all of
        them, what the final norm is given."""

    @abstractmethod
    def from_hidden(self, hidden: Tensor, layers: int) -> Tensor:
        """Hidden states behind the first ``layers`` layers -> the final norm's output."""

    @abstractmethod
    def on_keys_values(self, layer: int, change: KeysValues) -> None:
        """Let a layer attend to ``change(keys, values)``, each ``[batch, heads, tokens, channels per head]``."""

    def forward(self, features: Tensor) -> Tensor:
        """``[batch, frames, bins]`` or ``[batch, samples]`` -> logits ``[batch, classes]``."""
        return self.classify(self.pool(self.tokens(features)))

    def pool(self, tokens: Tensor) -> Tensor:
        """Mean over the tokens that the head reads, ``[batch, tokens, hidden] -> [batch, hidden]``."""
        if self.pooled is not None:
            tokens = tokens[:, list(self.pooled)]
        return tokens.mean(dim=1)

    def classify(self, pooled: Tensor) -> Tensor:
        """The head, ``[batch, hidden] -> [batch, classes]``."""
        assert self.head is not None, "add_head comes first"
        logits: Tensor = self.head(pooled)
        return logits

    def site(self, name: LayerSite | ModelSite, layer: int | None = None) -> Site:
        """The site ``name``, of layer ``layer`` (from 0) where it is one of a layer's. Raises ValueError."""
        of_layer = name in get_args(LayerSite)
        if not of_layer and name not in get_args(ModelSite):
            raise ValueError(f"no site '{name}'; there are {', '.join([*get_args(LayerSite), *get_args(ModelSite)])}")
        if of_layer != (layer is not None):
            raise ValueError(
                f"site '{name}' is one of {'a layer: name it' if of_layer else 'the model, not of a layer'}"
            )
        label = name if layer is None else f"layer{layer}_{name}"
        return Site(label, self.module_at(name, layer), self._handles)

    def add(self, name: str, module: nn.Module, role: Role, redundant: Collection[str] = ()) -> None:
        """Take in a method's module; all its parameters train under ``role``.

        ``redundant`` names those of them that cannot change a training loss. Raises ValueError where a name is taken, a
        role unknown or a redundant parameter not there.
        """
        if name in self.attachments:
            raise ValueError(f"two attachments are called '{name}'")
        self._check_role(role)
        parameters = dict(module.named_parameters(remove_duplicate=False))
        if unknown := [parameter for parameter in redundant if parameter not in parameters]:
            raise ValueError(
                f"redundant: '{unknown[0]}' is no parameter of '{name}'; there are {', '.join(parameters)}"
            )
        self.attachments[name] = module
        names = self._assign(module, role)
        self.redundant.update(names[id(parameters[parameter])] for parameter in redundant)

    def add_head(self, classes: int, pooled: tuple[int, ...] | None = None) -> None:
        """Add the classification head, a linear map of the mean of the tokens at ``pooled`` (None: of all)."""
        self.head = nn.Linear(self.geometry.hidden_size, classes)
        self.pooled = pooled
        self._assign(self.head, "head")

    def unfreeze(
        self, site: LayerSite | ModelSite, layer: int | None = None, *, role: Role, only: str | None = None
    ) -> None:
        """Train the parameters of the module at a site; ``only`` those called so ("bias"). Raises ValueError."""
        self._check_role(role)
        self._unfreeze(self._named_at(site, layer, only), role)

    def declare_redundant(self, site: LayerSite | ModelSite, layer: int | None, only: str) -> None:
        """Say of trained parameters at a site that they cannot change a training loss."""
        self.redundant.update(self._named_at(site, layer, only))

    def fine_tuned(self) -> dict[str, nn.Parameter]:
        """The parameters of the model that full fine-tuning trains, by name: all, unless a family keeps some frozen."""
        return {f"model.{name}": parameter for name, parameter in self.model.named_parameters()}

    def unfreeze_all(self) -> None:
        """Train the model's parameters as full fine-tuning does, as role "backbone"."""
        self._unfreeze(self.fine_tuned(), "backbone")

    def until_detached(self, removable: Removable) -> None:
        """Take something off with the method."""
        self._handles.append(removable)

    def detach(self) -> None:
        """Remove all attachments and the head, and restore the loaded state bit for bit, frozen and in eval mode."""
        for handle in reversed(self._handles):  # each finds what it changed as it left it
            handle.remove()
        self._handles.clear()
        parameters = dict(self.named_parameters())
        with torch.no_grad():
            for name, copy in self._copies.items():
                parameters[name].copy_(copy)
        self._copies.clear()
        self.attachments = nn.ModuleDict()
        self.head = None
        self.pooled = None
        self.roles.clear()
        self.redundant.clear()
        self.model.requires_grad_(False)
        self.zero_grad(set_to_none=True)
        self.eval()

    def condition(self) -> dict[str, Any]:
        """What ``detach`` must bring back, by module: its structure, and tensors (as sums of their bits).

        Two conditions are equal where a run would give the same numbers.
        """
        structure = self.structure()
        bits = {name: bits_of(module) for name, module in self.named_modules()}
        return {name: (its, bits.get(name)) for name, its in structure.items()}

    def structure(self) -> dict[str, Any]:
        """By module: what trains, mode, hooks, plain attributes."""
        return {name: structure_of(module) for name, module in self.named_modules()}

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that train, in a fixed order."""
        return [parameter for name, parameter in self.named_parameters() if name in self.roles]

    def trained_state(self) -> dict[str, Tensor]:
        """A real copy of all that training changes: trained parameters and the attachments' buffers."""
        return {name: tensor.detach().clone() for name, tensor in self._changing()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what ``trained_state`` copied."""
        with torch.no_grad():
            for name, tensor in self._changing():
                tensor.copy_(state[name])

    def total_parameters(self) -> int:
        """Parameters of the model itself at this input length, without attachments and head."""
        added = {id(parameter) for parameter in self.attachments.parameters()}
        return sum(parameter.numel() for parameter in self.model.parameters() if id(parameter) not in added)

    def parameters_by_role(self) -> dict[str, int]:
        """Number of trained parameters of each role."""
        counts: dict[str, int] = dict.fromkeys(get_args(Role), 0)
        for name, parameter in self.named_parameters():
            if name in self.roles:
                counts[self.roles[name]] += parameter.numel()
        return counts

    def redundant_parameters(self) -> int:
        """Number of trained parameters that were declared unable to change a training loss."""
        return sum(parameter.numel() for name, parameter in self.named_parameters() if name in self.redundant)

    def trained_in_final_norm(self) -> int:
        """Trained parameters of the final norm, which published counts leave out."""
        return sum(p.numel() for p in self.module_at("norm_final", None).parameters() if p.requires_grad)

    def _changing(self) -> list[tuple[str, Tensor]]:
        trained = [(name, parameter) for name, parameter in self.named_parameters() if name in self.roles]
        return trained + [(f"attachments.{name}", buffer) for name, buffer in self.attachments.named_buffers()]

    def _named_at(self, site: LayerSite | ModelSite, layer: int | None, only: str | None) -> dict[str, nn.Parameter]:
        names = self._names()
        return {
            names[id(parameter)]: parameter
            for name, parameter in self.site(site, layer).module.named_parameters()
            if only is None or name.rpartition(".")[2] == only
        }

    def _unfreeze(self, named: dict[str, nn.Parameter], role: Role) -> None:
        for name, parameter in named.items():
            self._copies.setdefault(name, parameter.detach().clone())
            parameter.requires_grad_(True)
            self.roles[name] = role

    def _assign(self, module: nn.Module, role: Role) -> dict[int, str]:
        """Give a module's parameters a role; the names of all parameters, to spare looking for them again."""
        names = self._names()
        for parameter in module.parameters():
            self.roles[names[id(parameter)]] = role
        return names

    def _names(self) -> dict[int, str]:
        """The one name of every parameter by its identity, however many modules share it."""
        return {id(parameter): name for name, parameter in self.named_parameters()}

    def _check_role(self, role: Role) -> None:
        if role not in METHOD_ROLES:
            raise ValueError(f"role '{role}': give one of {', '.join(METHOD_ROLES)}")
