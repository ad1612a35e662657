"""The pretraining objective: say what the generator did, when (from each column) and in what order (from the mean).

Frame by frame targets keep the order of events, which agreement between perturbed copies of a clip does not need.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import ASTModel

from petl_bench.backbones.ast import adapt_position_embeddings
from petl_bench.backbones.pretraining.draws import Draws
from petl_bench.backbones.pretraining.targets import NOISE, PLACE, PLACES, PROPERTIES, TRACKS, VOICED, Targets

SPECIAL = 2
"""Tokens before the patches."""
PARTS = 4
"""Targets per track within one column of patches."""
CENTRES = (0.0, 0.4, 0.15, 9.0, 10.5, 11.5, -5.0, 0.25)
DEVIATIONS = (0.3, 0.45, 0.2, 0.9, 0.65, 0.45, 3.0, 0.3)
"""Of the tracks, over generated sounds."""
WEIGHTS = {"tracks": 1.0, "outline": 1.0, "properties": 0.5}


class Pretraining(nn.Module):
    """The model and three linear heads that are thrown away afterwards.

    tracks: the mean of a column's tokens -> the tracks during that column, in PARTS parts.
    outline: the mean of all tokens, which is what a method's head sees -> the tracks at PLACES places of the event.
    properties: the mean of all tokens -> the sound as a whole.
    """

    def __init__(self, model: ASTModel) -> None:
        super().__init__()
        self.model = model
        hidden = model.config.hidden_size
        self.tracks = nn.Linear(hidden, PARTS * len(TRACKS))
        self.outline = nn.Linear(hidden, PLACES * len(TRACKS))
        self.properties = nn.Linear(hidden, len(PROPERTIES))

    def tokens(self, features: Tensor) -> Tensor:
        """``[n, frames, bins]`` -> the final norm's output ``[n, tokens, hidden]``.

        Position embeddings are cut as they are where the weights are used.
        """
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

    def losses(self, features: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Mean squared errors, in deviations of the targets, of normalised ``features [n, frames, bins]``."""
        tokens = self.tokens(features)
        pooled = tokens.mean(dim=1)
        columns = self.columns(tokens)
        said = self.tracks(columns).reshape(*columns.shape[:2], PARTS, len(TRACKS))
        frames = self.model.config.time_stride * columns.shape[1]
        during = targets.tracks[:, :frames].reshape(len(tokens), columns.shape[1], PARTS, -1, len(TRACKS))
        outlined = self.outline(pooled).reshape(-1, PLACES, 1, len(TRACKS))
        error = targets.relevance * (self.properties(pooled) - targets.properties).square()
        return {
            "tracks": track_error(said, during),
            "outline": track_error(outlined[..., :PLACE], targets.outline[:, :, None, :PLACE]),
            "properties": (error.sum(dim=0) / targets.relevance.sum(dim=0).clamp_min(1)).mean(),
        }

    def columns(self, tokens: Tensor) -> Tensor:
        """Mean of the tokens of each column of patches, ``[n, tokens, hidden] -> [n, columns, hidden]``."""
        config = self.model.config
        rows = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        return tokens[:, SPECIAL:].reshape(len(tokens), rows, -1, tokens.shape[2]).mean(dim=1)


def track_error(said: Tensor, tracks: Tensor) -> Tensor:
    """Mean squared error of ``said [..., tracks]`` against the mean over moments of ``tracks [..., moments, tracks]``.

    What is silent has no resonances and what is not voiced no pitch: moments count by how loud they are.
    """
    count = tracks.shape[-1]
    level = (tracks[..., VOICED] + tracks[..., NOISE]).clamp(0, 1)
    weight = torch.stack([tracks[..., VOICED].clamp(0, 1), *[level] * (count - 1)], dim=-1)
    weight[..., [VOICED, NOISE]] = 1.0
    weight[..., PLACE:] = 1.0
    centre, deviation = (torch.tensor(values[:count], device=tracks.device) for values in (CENTRES, DEVIATIONS))
    share = weight.mean(dim=-2).clamp_min(1e-3)
    wanted = (weight * (tracks - centre) / deviation).mean(dim=-2) / share
    error = (share * (said.reshape(wanted.shape) - wanted).square()).flatten(0, -2).sum(dim=0)
    return (error / share.flatten(0, -2).sum(dim=0)).mean()


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
