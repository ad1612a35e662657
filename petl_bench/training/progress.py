"""Where the training of a run stands between two epochs, and the way to and from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from petl_bench.backbones.base import Backbone
from petl_bench.checkpoints import below, optimizer_tensors, restore_optimizer
from petl_bench.runspec import RunSpec


class Best:
    """The best validation epoch so far: highest metric, then lowest loss, then earliest; and a real copy of it."""

    def __init__(self) -> None:
        self.score = (-float("inf"), -float("inf"))
        self.epoch = 0
        self.state: dict[str, Tensor] = {}

    def offer(self, epoch: int, metric: float, loss: float, backbone: Backbone) -> None:
        if (metric, -loss) > self.score:
            self.score, self.epoch, self.state = (metric, -loss), epoch, backbone.trained_state()


def recipe_of(
    spec: RunSpec, parameters: Iterable[nn.Parameter], batches_per_epoch: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.CosineAnnealingLR]:
    """The run's optimizer, AdamW, and its schedule, a cosine per step to 0."""
    settings = spec.training.optimizer
    optimizer = torch.optim.AdamW(
        parameters,
        lr=settings.lr,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, spec.training.epochs * batches_per_epoch)


class Progress:
    """Optimizer, schedule, logs of the epochs done and the best of them: AdamW, cosine per step to 0.

    Random streams are derived from the run's seed and the epoch, so these, the trained tensors and nothing else is what
    the next epoch depends on.
    """

    def __init__(self, spec: RunSpec, backbone: Backbone, batches_per_epoch: int) -> None:
        self.backbone = backbone
        self.optimizer, self.schedule = recipe_of(spec, backbone.trained_parameters(), batches_per_epoch)
        self.logs: list[dict[str, float]] = []
        self.best = Best()

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.logs)

    @property
    def updates(self) -> int:
        """Optimizer steps done."""
        return int(self.schedule.last_epoch)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that go into a checkpoint, by name."""
        found = {f"trained.{name}": tensor for name, tensor in self.backbone.trained_state().items()}
        found |= {f"best.{name}": tensor for name, tensor in self.best.state.items()}
        found |= {f"optimizer.{name}": tensor for name, tensor in optimizer_tensors(self.optimizer).items()}
        return found

    def facts(self) -> dict[str, Any]:
        """All else that goes into a checkpoint, as JSON data."""
        return {
            "logs": self.logs,
            "best": [*self.best.score, self.best.epoch],
            "lr": [group["lr"] for group in self.optimizer.param_groups],
            "schedule": self.schedule.state_dict(),
        }

    def resume(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Go on from a checkpoint; False, and nothing is changed, where it is of another method's tensors."""
        trained, best, moments = (below(f"{part}.", tensors) for part in ("trained", "best", "optimizer"))
        now = self.backbone.trained_state()
        if any(_shapes(kept) != _shapes(now) for kept in (trained, best)):
            return False
        self.backbone.restore(trained)
        restore_optimizer(self.optimizer, moments, facts["lr"])
        self.schedule.load_state_dict(dict(facts["schedule"]))
        self.logs = list(facts["logs"])
        metric, loss, self.best.epoch = facts["best"]
        self.best.score = (metric, loss)
        self.best.state = {name: best[name].to(tensor.device) for name, tensor in now.items()}
        return True


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
