"""The pretraining objective: tell sounds apart by what happens when, and say what the generator did over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import ASTModel

from petl_bench.backbones.ast import adapt_position_embeddings
from petl_bench.backbones.pretraining.draws import Draws
from petl_bench.backbones.pretraining.programs import NOISE, VOICED
from petl_bench.backbones.pretraining.synthesis import PLACE, TRACKS

SPECIAL = 2
"""Tokens before the patches."""
PARTS = 4
"""Targets per track within one column of patches."""
TEMPERATURE = 0.1
CENTRES = (0.0, 0.4, 0.15, 9.0, 10.5, 11.5, -5.0, 0.25)
DEVIATIONS = (0.3, 0.45, 0.2, 0.9, 0.65, 0.45, 3.0, 0.3)
"""Of the tracks, over generated sounds."""


class Pretraining(nn.Module):
    """The model and the two heads that are thrown away afterwards.

    projection: the mean of all tokens -> the space in which takes of one sound are brought together.
    reader: the mean of a column's tokens -> the generator's tracks during that column.
    """

    def __init__(self, model: ASTModel) -> None:
        super().__init__()
        self.model = model
        hidden = model.config.hidden_size
        self.projection = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))
        self.reader = nn.Linear(hidden, PARTS * len(TRACKS))

    def tokens(self, features: Tensor) -> Tensor:
        """``[n, frames, bins]`` -> the final norm's output ``[n, tokens, hidden]``; position embeddings are cut as
        they are when the weights are used."""
        embeddings, config = self.model.embeddings, self.model.config
        columns = (features.shape[1] - config.patch_size) // config.time_stride + 1
        patches = embeddings.patch_embeddings(features)
        special = torch.cat([embeddings.cls_token, embeddings.distillation_token], dim=1).expand(len(features), -1, -1)
        native = embeddings.get_shape(config)
        positions = adapt_position_embeddings(embeddings.position_embeddings, native, columns)
        hidden = torch.cat([special, patches], dim=1) + positions
        for layer in self.model.layers:
            hidden = layer(hidden)
        normed: Tensor = self.model.layernorm(hidden)
        return normed

    def losses(self, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Losses of ``features [2n, frames, bins]``, whose halves are two takes of the same n sounds, and of
        ``targets [2n, frames, tracks]``."""
        tokens = self.tokens(features)
        return {
            "contrast": contrast(self.projection(tokens.mean(dim=1))),
            "tracks": self.track_loss(tokens, targets),
        }

    def track_loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of the tracks, in deviations; what is silent has no pitch and no resonances."""
        config = self.model.config
        rows = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        columns = tokens[:, SPECIAL:].reshape(len(tokens), rows, -1, tokens.shape[2]).mean(dim=1)
        said = self.reader(columns).reshape(*columns.shape[:2], PARTS, len(TRACKS))

        frames = config.time_stride * columns.shape[1]
        parts = targets[:, :frames].reshape(len(targets), columns.shape[1], PARTS, -1, len(TRACKS))
        level = parts[..., VOICED] + parts[..., NOISE]
        weight = torch.stack([parts[..., VOICED], *[level] * (len(TRACKS) - 1)], dim=-1).clamp(0, 1)
        weight[..., [VOICED, NOISE, PLACE]] = 1.0
        centre, deviation = (torch.tensor(values, device=parts.device) for values in (CENTRES, DEVIATIONS))
        share = weight.mean(dim=3).clamp_min(1e-3)
        wanted = (weight * (parts - centre) / deviation).mean(dim=3) / share
        error: Tensor = share * (said - wanted).square()
        return (error.sum(dim=(0, 1, 2)) / share.sum(dim=(0, 1, 2))).mean()


def contrast(embeddings: Tensor) -> Tensor:
    """InfoNCE over 2n embeddings ``[2n, hidden]``; i and n + i are takes of one sound (SimCLR, arXiv 2002.05709)."""
    count = len(embeddings) // 2
    unit = normalize(embeddings.float(), dim=1)
    similarity = unit @ unit.T / TEMPERATURE
    similarity = similarity.masked_fill(torch.eye(2 * count, dtype=torch.bool, device=unit.device), float("-inf"))
    partner = torch.arange(2 * count, device=unit.device).roll(count)
    return cross_entropy(similarity, partner)


def masked(features: Tensor, draws: Draws, widest: float = 0.25) -> Tensor:
    """With one stretch of time and one band of every clip set to 0, the mean, in half of the clips each."""
    count, frames, bins = features.shape
    hidden = torch.zeros(features.shape, dtype=torch.bool, device=features.device)
    for dimension, size in ((1, frames), (2, bins)):
        width = draws.uniform(0, widest, count, 1) * size * draws.chance(0.5, count, 1)
        start = draws.uniform(0, 1, count, 1) * (size - width)
        place = torch.arange(size, device=features.device)
        inside = (place >= start) & (place < start + width)
        hidden |= inside.unsqueeze(3 - dimension)
    return features.masked_fill(hidden, 0.0)
