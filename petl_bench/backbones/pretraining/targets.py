"""What the model is asked to say of a generated sound; the generator knows it, so nothing is labelled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from petl_bench.backbones.pretraining import programs as p
from petl_bench.backbones.pretraining.course import STEP, Course, values_at
from petl_bench.backbones.pretraining.programs import Programs
from petl_bench.cards import SHIFT

TRACKS = ("pitch", "voiced", "noise", "formant1", "formant2", "formant3", "tilt", "place")
"""Of a moment: the program's channels, levels as square roots; and how far the event is, 0 to 1.

Pitch is relative to the voice's register and resonances are before its scale: a word is the same from any speaker.
"""
VOICED, NOISE, PLACE = 1, 2, len(TRACKS) - 1
PLACES = 8
"""Places of an event at which its outline says the tracks."""
PROPERTIES = (
    "register",
    "brightness",
    "tremolo_rate",
    "tremolo_depth",
    "crackle_level",
    "crackle_rate",
    "fluctuation",
    "decay",
    "repeated",
    "period",
    "speech",
)


@dataclass(frozen=True)
class Targets:
    """``tracks [n, frames, TRACKS]`` every 10 ms; ``outline [n, PLACES, TRACKS]``, over the course of one event;
    ``properties`` and how much each matters, ``relevance``, ``[n, PROPERTIES]``."""

    tracks: Tensor
    outline: Tensor
    properties: Tensor
    relevance: Tensor


def targets_of(programs: Programs, course: Course, frames: int) -> Targets:
    """Targets of clips of ``frames`` frames that follow ``course``."""
    moments = _tracks(course.values, course.place).transpose(1, 2)
    during = avg_pool1d(moments, SHIFT // STEP).transpose(1, 2)[:, :frames]
    return Targets(during, _outline(programs), *_properties(programs))


def _tracks(values: Tensor, place: Tensor) -> Tensor:
    levels = values[..., p.LEVELS].clamp_min(0).sqrt()
    resonances = values[..., p.FORMANT1 : p.FORMANT3 + 1]
    parts = [values[..., : p.VOICED], levels, resonances, values[..., p.TILT :], place[..., None]]
    return torch.cat(parts, dim=-1)


def _outline(programs: Programs) -> Tensor:
    """The tracks in the order in which they come, wherever the event stands in the clip and however fast it is."""
    place = (torch.arange(PLACES, device=programs.traits.device) + 0.5) / PLACES
    total = programs.durations.sum(dim=1, keepdim=True)
    values, since = values_at(programs, programs.durations, total * place)
    values[..., p.LEVELS] *= torch.exp(-programs.traits[:, p.DECAY, None] * since)[:, :, None]
    return _tracks(values, place.expand(len(programs), -1))


def _properties(programs: Programs) -> tuple[Tensor, Tensor]:
    """Values, brought to mean 0 and deviation 1 by rule of thumb, and relevance."""
    register, brightness, _, _, tremolo_rate, tremolo, crackle_rate, crackle, fluctuation, decay, period, *_ = (
        programs.traits.unbind(1)
    )
    voiced = (programs.segments[..., p.VOICED].amax(dim=(1, 2)) > 0.05).float()
    repeated = (period < p.LONGEST_PERIOD).float()
    always = torch.ones_like(voiced)
    values_and_relevance = (
        ((register - 7.6) / 1.2, voiced),
        ((brightness - 6) / 2.3, voiced),
        ((tremolo_rate - 2) / 1.3, tremolo),
        ((tremolo - 0.2) / 0.25, always),
        ((crackle - 0.05) / 0.2, always),
        ((crackle_rate - 5) / 2.3, (crackle > 0.1).float()),
        ((fluctuation - 0.3) / 0.4, always),
        ((torch.log2(1 + decay) - 0.8) / 2, always),
        (2 * repeated - 1, always),
        (period / 1.5, repeated),
        (2 * programs.speech.float() - 1, always),
    )
    values, relevance = zip(*values_and_relevance, strict=True)
    return torch.stack(values, dim=1), torch.stack(relevance, dim=1)
