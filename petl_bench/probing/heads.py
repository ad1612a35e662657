"""Linear heads on the states of every depth, trained side by side as the linear probe's head is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from petl_bench.benchmarks.splits import Split
from petl_bench.runspec import RunSpec
from petl_bench.training.progress import recipe_of
from petl_bench.training.run import batches_per_epoch, order_of, seeded


@dataclass(frozen=True)
class Outcome:
    """Whether the clips of a part were recognised from every depth, ``[depths, clips]``."""

    validation: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]


def train_heads(states: Tensor, targets: Tensor, split: Split, spec: RunSpec) -> Outcome:
    """One head per depth of ``states`` ``[clips, depths, hidden]``, each at its own best validation epoch.

    Recipe, batches and initialisation are the run's: AdamW, cosine per step to 0, cross-entropy. Depths share nothing.
    """
    depths, width, classes = states.shape[1], states.shape[2], spec.data.class_count
    heads = _Heads(depths, width, classes, spec)
    recipe = spec.training
    optimizer, schedule = recipe_of(spec, heads.parameters(), batches_per_epoch(spec, split))
    score = torch.full((2, depths), -math.inf, dtype=torch.double)
    best = [parameter.detach().clone() for parameter in heads.parameters()]
    validation, test = (torch.from_numpy(part) for part in (split.validation, split.test))
    for epoch in range(1, recipe.epochs + 1):
        order = order_of(spec, split, epoch)
        for start in range(0, len(order), recipe.batch_size):
            clips = torch.from_numpy(order[start : start + recipe.batch_size])
            optimizer.zero_grad(set_to_none=True)
            _losses(heads(states[clips]), targets[clips]).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            logits = heads(states[validation])
            accuracy = (logits.argmax(-1) == targets[validation, None]).double().mean(0)
            now = torch.stack([accuracy, -_losses(logits, targets[validation]).double()])
            better = improved(now, score)
            score[:, better] = now[:, better]
            for kept, parameter in zip(best, heads.parameters(), strict=True):
                kept[better] = parameter[better]
    with torch.no_grad():
        for kept, parameter in zip(best, heads.parameters(), strict=True):
            parameter.copy_(kept)
        right = [(heads(states[part]).argmax(-1) == targets[part, None]).T.numpy() for part in (validation, test)]
    return Outcome(*right)


def improved(now: Tensor, best: Tensor) -> Tensor:
    """By depth: whether an epoch's accuracy is higher than the best, or equal with a lower loss.

    Both are ``[2, depths]``, accuracies above negative losses.
    """
    return (now[0] > best[0]) | ((now[0] == best[0]) & (now[1] > best[1]))


class _Heads(nn.Module):
    """A linear map per depth, ``[batch, depths, hidden] -> [batch, depths, classes]``, begun as torch's are."""

    def __init__(self, depths: int, width: int, classes: int, spec: RunSpec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(depths, classes, width))
        self.bias = nn.Parameter(torch.empty(depths, classes))
        with seeded(spec, "head"):
            for parameter in (self.weight, self.bias):
                nn.init.uniform_(parameter, -1 / math.sqrt(width), 1 / math.sqrt(width))

    def forward(self, states: Tensor) -> Tensor:
        return torch.einsum("ndh,dch->ndc", states, self.weight) + self.bias


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of every depth, ``[depths]``."""
    return torch.stack([nn.functional.cross_entropy(its, targets) for its in logits.unbind(1)])
