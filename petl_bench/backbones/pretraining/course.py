"""The course of a program through a clip: its channels every 5 ms, from its first event to the clip's end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, pad

from petl_bench.backbones.pretraining import programs as p
from petl_bench.backbones.pretraining.draws import Draws
from petl_bench.backbones.pretraining.programs import Programs
from petl_bench.cards import RATE

STEP = 80
"""Samples between two values: 5 ms."""


@dataclass(frozen=True)
class Course:
    """``values [n, steps, channels]`` and the place in the event, ``place [n, steps]``, from 0 to 1 (0 outside)."""

    values: Tensor
    place: Tensor


def draw_course(programs: Programs, draws: Draws, samples: int) -> Course:
    """Put the programs at a random time into clips of ``samples`` samples; what repeats goes on to the end."""
    traits = programs.traits
    count, room = len(programs), samples / RATE
    durations = programs.durations * torch.exp2(traits[:, p.TEMPO, None])
    total = durations.sum(dim=1, keepdim=True)
    too_long = programs.speech[:, None] & (total > 0.95 * room)
    fitting = torch.where(too_long, 0.95 * room / total, 1.0)
    durations, total = durations * fitting, total * fitting
    onset = draws.uniform(0, 1, count, 1) * (room - total).clamp_min(0.1 * room) - 0.05 * room
    period = torch.maximum(torch.exp2(traits[:, p.PERIOD, None]), total + 0.02)

    since_onset = torch.arange(samples // STEP + 1, device=draws.device) * (STEP / RATE) - onset
    event = since_onset.remainder(period)
    sounding = (since_onset >= 0) & (event < total)
    values, since = values_at(programs, durations, event)
    values[..., p.LEVELS] *= (sounding * torch.exp(-traits[:, p.DECAY, None] * since))[:, :, None]
    # In speech, resonances move smoothly over 65 ms from sound to sound, levels within 15 ms.
    smooth = traits[:, p.COARTICULATION, None, None]
    spoken = smooth * _smoothed(values, 13) + (1 - smooth) * values
    spoken[..., p.LEVELS] = _smoothed(values[..., p.LEVELS], 3)
    values = torch.where(programs.speech[:, None, None], spoken, values)
    return Course(values, torch.where(sounding, event / total, 0.0))


def values_at(programs: Programs, durations: Tensor, event: Tensor) -> tuple[Tensor, Tensor]:
    """Channels ``[n, times, channels]`` at times ``event [n, times]`` since the event began, and the seconds since
    the segment began."""
    ends = durations.cumsum(dim=1)
    segment = (event[:, :, None] >= ends[:, None, :]).sum(dim=2).clamp_max(p.SEGMENTS - 1)
    since = (event - (ends - durations).gather(1, segment)).clamp_min(0)
    within = (since / durations.gather(1, segment).clamp_min(1e-3)).clamp_max(1)[:, :, None]
    flat = programs.segments.flatten(2)
    start, end = flat.gather(1, segment[:, :, None].expand(-1, -1, flat.shape[2])).chunk(2, dim=2)
    return start + within * (end - start), since


def _smoothed(tracks: Tensor, width: int) -> Tensor:
    """Running mean over ``width`` steps of ``[n, steps, channels]``."""
    padded = pad(tracks.transpose(1, 2), (width // 2, width // 2), mode="replicate")
    return avg_pool1d(padded, width, stride=1).transpose(1, 2)
