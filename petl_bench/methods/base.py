"""The interface of a PETL method: a Config, and ``attach``, which puts modules on a loaded backbone's sites."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from petl_bench.backbones.base import Backbone, Geometry


class MethodConfig(BaseModel):
    """Hyperparameters of a method. A field added later is marked with ``canonical.Introduced``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Method(ABC):
    """A parameter-efficient transfer learning method.

    ``attach`` runs after the weights are loaded and under the run's own random stream. It may use nothing of a model
    but what Backbone offers: named sites, modules added under a role, parameters marked as trained.
    """

    class Config(MethodConfig):
        pass

    numerics_version: ClassVar[int] = 1
    """Bumped when the method would give other numbers for the same Config."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def check(self, geometry: Geometry) -> None:
        """Raise ValueError (one line) where the Config does not fit a backbone of this geometry."""
        return

    def remark(self, geometry: Geometry) -> str:
        """What a reader of a table made with this Config on this backbone should know; mostly nothing."""
        return ""

    @abstractmethod
    def attach(self, backbone: Backbone) -> None:
        """Add modules and mark what trains. The classification head is not the method's business."""

    def published_surplus(self, geometry: Geometry) -> int:
        """Parameters that the literature's released code trains without effect and counts, absent here."""
        return 0
