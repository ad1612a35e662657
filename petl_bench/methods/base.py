"""The interface of a PETL method: a Config, and ``attach``, which puts modules on a loaded backbone's sites."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from petl_bench.canonical import Introduced
from petl_bench.switches import Switches

if TYPE_CHECKING:
    from torch import Tensor

    from petl_bench.backbones.base import Backbone
    from petl_bench.backbones.sites import Geometry, LayerSite, ModelSite

Pooling = Literal["mean", "cls", "cls+dist", "prompts"]
POOLED: dict[Pooling, frozenset[str]] = {
    "cls": frozenset({"cls"}),
    "cls+dist": frozenset({"cls", "distillation"}),
    "prompts": frozenset({"prompt"}),
}


class MethodConfig(BaseModel):
    """Hyperparameters of a method. A field added later is marked with ``canonical.Introduced``.

    pooling: the tokens whose mean the head reads - all of them, [CLS], [CLS] and distillation token, or the prompts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pooling: Annotated[Pooling, Introduced("mean")] = "mean"


class Method(ABC):
    """A parameter-efficient transfer learning method.

    ``attach`` runs after the weights are loaded and under the run's own random stream. It may use nothing of a model
    but what Backbone offers: named sites, modules added under a role, parameters marked as trained.
    ``testing.MethodContract`` checks what is promised here.
    """

    class Config(MethodConfig):
        pass

    numerics_version: ClassVar[int] = 1
    """Bumped when the method would give other numbers for the same Config."""

    fixed_start: ClassVar[bool] = False
    """Whether trained tensors start at values that are neither constant nor drawn (a basis, an identity)."""

    card: ClassVar[dict[str, Any]] = {}
    """What a method card would hold, for a method that comes without one: ``{"optimizer": {"lr": 1e-2}}``."""

    def __init__(self, config: Any, switches: Switches | None = None) -> None:
        self.config = config
        self.switches = switches or Switches()

    def check(self, geometry: Geometry) -> None:
        """Raise ValueError (one line) where the Config does not fit a backbone of this geometry."""
        return

    def remark(self, geometry: Geometry) -> str:
        """What a reader of a table made with this Config on this backbone should know; mostly nothing."""
        return ""

    @abstractmethod
    def attach(self, backbone: Backbone) -> None:
        """Add modules and mark what trains. The classification head is not the method's business."""

    def merge(self, backbone: Backbone) -> None:
        """Fold what is attached and trained into the model's own weights, for a checkpoint that needs no method.

        Nothing is to be done where nothing is attached. Raises ValueError (one line) where it cannot be folded.
        """
        if backbone.attachments:
            raise ValueError("what it attaches cannot be folded into the weights of the model")

    def starts_as_identity(self) -> bool:
        """Whether a backbone with this method attached, not yet trained, computes exactly what it did before."""
        return False

    def readings(self) -> dict[str, Tensor]:
        """What the last forward pass in evaluation showed of every clip, by name, each ``[batch]``; mostly nothing.

        Their means over the test clips of every class go into the record.
        """
        return {}

    def expected_parameters(self, geometry: Geometry, total: int) -> int | None:
        """By formula: how many parameters train, without the head; None where the method states no formula.

        ``total`` is the number of parameters of the backbone that full fine-tuning trains, at the length in use.
        """
        return None

    def published_surplus(self, geometry: Geometry) -> int:
        """Parameters that the literature's released code trains without effect and counts, absent here."""
        return 0

    def leading_tokens(self, geometry: Geometry) -> tuple[str, ...]:
        """Names of the tokens before those of the sound, as this method leaves them: cls, distillation, prompt."""
        return geometry.special_tokens

    def pooled_tokens(self, geometry: Geometry) -> tuple[int, ...] | None:
        """Positions of the tokens the head reads; None for all. Raises ValueError where there are none."""
        if (pooling := self.config.pooling) == "mean":
            return None
        leading = self.leading_tokens(geometry)
        if missing := sorted(POOLED[pooling] - set(leading)):
            raise ValueError(f"pooling = '{pooling}': no {missing[0]} token with these settings; 'mean' always works")
        return tuple(position for position, name in enumerate(leading) if name in POOLED[pooling])

    def train_norm(self, backbone: Backbone, site: LayerSite | ModelSite, layer: int | None = None) -> None:
        """Train a norm beside the method, unless the switch ``train_norms`` is off."""
        if self.switches.train_norms:
            backbone.unfreeze(site, layer, role="norm")

    def norm_parameters(self, geometry: Geometry, norms: int) -> int:
        """Weights and biases of so many norms that ``train_norm`` was asked for."""
        return 2 * geometry.hidden_size * norms if self.switches.train_norms else 0
