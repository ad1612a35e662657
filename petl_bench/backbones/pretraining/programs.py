"""Sound programs: what a generated sound does over time, as numbers, and the ways in which programs are varied.

A program is a sequence of up to SEGMENTS segments, each with the values of CHANNELS at its start and at its end, and
TRAITS of the sound as a whole. Speech-like programs alternate vowels and consonants; the others are environmental:
textures, impacts, calls, repeated events.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2

import torch
from torch import Tensor

from petl_bench.backbones.pretraining.draws import Draws

SEGMENTS = 6
CHANNELS = ("pitch", "voiced", "noise", "formant1", "formant2", "formant3", "width", "tilt")
"""Octaves from the register; two levels; three resonances and their width in log2 Hz; slope in dB per octave."""
PITCH, VOICED, NOISE, FORMANT1, FORMANT2, FORMANT3, WIDTH, TILT = range(len(CHANNELS))

TRAITS = (
    "register",  # log2 Hz of the pitch
    "brightness",  # log2 of the pulse's concentration: 0 is nearly a sine
    "vibrato_rate",  # log2 Hz
    "vibrato_depth",  # octaves
    "tremolo_rate",  # log2 Hz
    "tremolo_depth",  # 0 to 1
    "crackle_rate",  # log2 of impulses per second
    "crackle_level",
    "decay",  # 1 / s, of the level inside each segment
    "period",  # log2 s from one event to the next
    "onset",  # s
    "scale",  # log2 factor on all resonances: the length of the vocal tract or of a body
    "tempo",  # log2 factor on all durations
    "coarticulation",  # 0 to 1: how far resonances are smoothed over the borders of segments
)
REGISTER, BRIGHTNESS, VIBRATO_RATE, VIBRATO_DEPTH, TREMOLO_RATE, TREMOLO_DEPTH = range(6)
CRACKLE_RATE, CRACKLE_LEVEL, DECAY, PERIOD, ONSET, SCALE, TEMPO, COARTICULATION = range(6, len(TRAITS))

SPEECH_SPREAD = (0.45, 0.8, 0.3, 0.1, 0.3, 0.1, 0.3, 0.0, 0.5, 0.15, 0.0, 0.14, 0.25, 0.2)
OTHER_SPREAD = (0.18, 0.5, 0.2, 0.05, 0.15, 0.1, 0.3, 0.05, 2.0, 0.15, 0.0, 0.10, 0.15, 0.0)
"""Standard deviation of every trait between two takes of one sound."""
CHANNEL_SPREAD = (0.06, 0.05, 0.04, 0.06, 0.05, 0.05, 0.2, 0.8)


@dataclass(frozen=True)
class Programs:
    """Programs ``[n]``: segments ``[n, SEGMENTS, 2, channels]``, durations ``[n, SEGMENTS]`` in s (0: unused),
    traits ``[n, traits]`` and ``speech`` ``[n]``."""

    segments: Tensor
    durations: Tensor
    traits: Tensor
    speech: Tensor

    def __len__(self) -> int:
        return len(self.traits)

    def take(self, chosen: Tensor) -> Programs:
        """The programs at these indices."""
        return Programs(self.segments[chosen], self.durations[chosen], self.traits[chosen], self.speech[chosen])


def draw_programs(draws: Draws, count: int, speech_share: float, seconds: float) -> Programs:
    """Fresh programs for clips that last ``seconds``."""
    speech = draws.chance(speech_share, count)
    spoken, other = _speech(draws, count, seconds), _environmental(draws, count, seconds)
    segments = torch.where(speech[:, None, None, None], spoken.segments, other.segments)
    durations = torch.where(speech[:, None], spoken.durations, other.durations)
    traits = torch.where(speech[:, None], spoken.traits, other.traits)
    return Programs(segments, durations, traits, speech)


def confusable(programs: Programs, draws: Draws, seconds: float) -> Programs:
    """Four programs of every one: itself, backwards, one segment replaced, segments in another order.

    The parts of all four are much the same, so only what happens when tells them apart. Program i of n becomes
    programs i, n + i, 2n + i and 3n + i.
    """
    count = len(programs)
    places = torch.arange(SEGMENTS, device=draws.device).expand(count, -1)
    used = (programs.durations > 0).sum(dim=1, keepdim=True)

    backwards = torch.where(places < used, used - 1 - places, places)
    turned = _reordered(programs, backwards)
    turned = replace(turned, segments=turned.segments.flip(2))

    fresh = draw_programs(draws, count, 0.5, seconds)
    fresh_speech, fresh_other = _speech(draws, count, seconds), _environmental(draws, count, seconds)
    fresh = replace(
        fresh, segments=torch.where(programs.speech[:, None, None, None], fresh_speech.segments, fresh_other.segments)
    )
    place = (draws.uniform(0, 1, count, 1) * used).long()
    here = (places == place)[:, :, None, None]
    replaced = replace(programs, segments=torch.where(here, fresh.segments, programs.segments))

    keys = draws.uniform(0, 1, count, SEGMENTS) + (places >= used)
    shuffled = _reordered(programs, keys.argsort(dim=1))
    return _joined([programs, turned, replaced, shuffled])


def another_take(programs: Programs, draws: Draws, amount: float = 1.0) -> Programs:
    """The same sounds again, as another speaker or source would make them."""
    count = len(programs)
    spread = torch.where(
        programs.speech[:, None],
        torch.tensor(SPEECH_SPREAD, device=draws.device),
        torch.tensor(OTHER_SPREAD, device=draws.device),
    )
    traits = programs.traits + amount * spread * draws.normal(1, count, len(TRAITS))
    channels = torch.tensor(CHANNEL_SPREAD, device=draws.device)
    segments = programs.segments + amount * channels * draws.normal(1, *programs.segments.shape)
    silent = programs.segments[..., VOICED : NOISE + 1] <= 0
    segments[..., VOICED : NOISE + 1] = segments[..., VOICED : NOISE + 1].clamp_min(0).masked_fill(silent, 0.0)
    durations = programs.durations * torch.exp2(amount * draws.normal(0.2, *programs.durations.shape))
    return Programs(segments, durations, traits, programs.speech)


def _speech(draws: Draws, count: int, seconds: float) -> Programs:
    """Words of made-up syllables: vowels and diphthongs between stops, fricatives, nasals and glides."""
    shape = (count, SEGMENTS)
    places = torch.arange(SEGMENTS, device=draws.device).expand(shape)
    is_vowel = (places + draws.below(2, count, 1)) % 2 == 0
    kind = torch.where(is_vowel, -1, draws.below(4, *shape))  # stop, fricative, nasal, glide

    start = _vowel(draws, shape)
    glide = draws.chance(0.4, *shape) | (kind == 3)
    end = torch.where(glide[..., None], _vowel(draws, shape), start)

    noisy = (kind == 0) | (kind == 1)
    centre = draws.uniform(log2(1200), log2(7000), *shape)
    voicing = draws.uniform(0.1, 0.4, *shape) * draws.chance(0.4, *shape)
    hiss = draws.uniform(0.1, 0.5, *shape)
    for values, is_end in ((start, False), (end, True)):
        level = hiss * torch.where(kind == 0, 1.5 if is_end else 0.0, 1.0)
        values[..., NOISE] = torch.where(noisy, level, values[..., NOISE])
        values[..., VOICED] = torch.where(noisy, voicing, values[..., VOICED])
        for channel, offset in ((FORMANT1, -0.3), (FORMANT2, 0.0), (FORMANT3, 0.3)):
            values[..., channel] = torch.where(noisy, centre + offset, values[..., channel])
        values[..., WIDTH] = torch.where(noisy, log2(700), values[..., WIDTH])
        values[..., TILT] = torch.where(noisy, 0.0, values[..., TILT])
        values[..., VOICED] = torch.where(kind == 2, 0.4, values[..., VOICED])
        values[..., FORMANT1] = torch.where(kind == 2, log2(270), values[..., FORMANT1])
        values[..., TILT] = torch.where(kind == 2, -11.0, values[..., TILT])
        values[..., VOICED] = torch.where(kind == 3, 0.7, values[..., VOICED])

    used = 1 + draws.below(SEGMENTS, count, 1)
    used = used.clamp_min(2)
    lengths = torch.where(is_vowel, draws.uniform(0.08, 0.3, *shape), draws.uniform(0.04, 0.16, *shape))
    lengths = lengths * (places < used)
    contour = draws.normal(0.12, count, SEGMENTS + 1) + torch.linspace(0.15, -0.15, SEGMENTS + 1, device=draws.device)
    start[..., PITCH], end[..., PITCH] = contour[:, :-1], contour[:, 1:]

    traits = torch.zeros(count, len(TRAITS), device=draws.device)
    traits[:, REGISTER] = draws.uniform(log2(90), log2(280), count)
    traits[:, BRIGHTNESS] = draws.uniform(6, 9, count)
    traits[:, VIBRATO_RATE] = draws.uniform(1, 3, count)
    traits[:, VIBRATO_DEPTH] = draws.uniform(0, 0.03, count)
    traits[:, TREMOLO_RATE] = draws.uniform(1, 3, count)
    traits[:, TREMOLO_DEPTH] = draws.uniform(0, 0.2, count)
    traits[:, PERIOD] = draws.uniform(log2(1.0), log2(3.0), count)
    traits[:, PERIOD] += 10.0 * draws.chance(0.5, count)
    traits[:, COARTICULATION] = draws.uniform(0, 1, count)
    return Programs(
        torch.stack([start, end], dim=2), lengths, traits, torch.ones(count, dtype=torch.bool, device=draws.device)
    )


def _vowel(draws: Draws, shape: tuple[int, int]) -> Tensor:
    """Values ``[*shape, channels]`` of vowels, anywhere in the range of human formants."""
    values = torch.zeros(*shape, len(CHANNELS), device=draws.device)
    first = draws.uniform(log2(260), log2(850), *shape)
    second = draws.uniform(log2(750), log2(2500), *shape)
    values[..., VOICED] = 1.0
    values[..., NOISE] = 0.02
    values[..., FORMANT1] = first
    values[..., FORMANT2] = torch.maximum(second, first + 0.4)
    values[..., FORMANT3] = torch.maximum(draws.uniform(log2(2200), log2(3300), *shape), values[..., FORMANT2] + 0.25)
    values[..., WIDTH] = log2(90)
    values[..., TILT] = -6.0
    return values


def _environmental(draws: Draws, count: int, seconds: float) -> Programs:
    """Textures, impacts, calls and machines: one to four segments of any timbre, once or repeated."""
    shape = (count, SEGMENTS)
    places = torch.arange(SEGMENTS, device=draws.device).expand(shape)
    used = 1 + draws.below(4, count, 1)
    impact = draws.chance(0.35, count)
    texture = ~impact & draws.chance(0.4, count)
    lengths = torch.exp2(draws.uniform(log2(0.08), log2(0.6), *shape))
    lengths = torch.where(impact[:, None], torch.exp2(draws.uniform(log2(0.01), log2(0.2), *shape)), lengths)
    lengths = torch.where(texture[:, None], draws.uniform(0.5, 1.5, *shape) * seconds, lengths)
    lengths = lengths * (places < used)

    harmonic = draws.chance(0.55, count, 1)
    noisy = draws.chance(0.6, count, 1) | ~harmonic
    common = torch.stack(
        [
            draws.normal(0.2, count, 1),
            harmonic * draws.uniform(0.3, 1, count, 1),
            noisy * torch.exp2(draws.uniform(-5, 0, count, 1)),
            draws.uniform(log2(120), log2(2000), count, 1),
            draws.uniform(log2(400), log2(5000), count, 1),
            draws.uniform(log2(1500), log2(7500), count, 1),
            draws.uniform(log2(60), log2(2500), count, 1),
            draws.uniform(-12, 4, count, 1),
        ],
        dim=-1,
    )
    own = torch.tensor([0.5, 0.25, 0.15, 0.6, 0.6, 0.4, 0.5, 2.0], device=draws.device)
    start = common + own * draws.normal(1, count, SEGMENTS, len(CHANNELS))
    end = start + draws.chance(0.5, count, 1, 1) * own * draws.normal(1, count, SEGMENTS, len(CHANNELS))
    segments = torch.stack([start, end], dim=2)
    levels = segments[..., VOICED : NOISE + 1].clamp_min(0)
    sounding = torch.stack([harmonic, noisy], dim=-1)[:, :, None]
    segments[..., VOICED : NOISE + 1] = levels * sounding

    traits = torch.zeros(count, len(TRAITS), device=draws.device)
    traits[:, REGISTER] = draws.uniform(log2(50), log2(1500), count)
    traits[:, BRIGHTNESS] = draws.uniform(0, 9, count)
    traits[:, VIBRATO_RATE] = draws.uniform(0.5, 4, count)
    traits[:, VIBRATO_DEPTH] = draws.uniform(0, 0.15, count) * draws.chance(0.4, count)
    traits[:, TREMOLO_RATE] = draws.uniform(-1, 5.5, count)
    traits[:, TREMOLO_DEPTH] = draws.uniform(0.2, 1, count) * draws.chance(0.5, count)
    traits[:, CRACKLE_RATE] = draws.uniform(1, 9, count)
    traits[:, CRACKLE_LEVEL] = draws.uniform(0.1, 1, count) * draws.chance(0.25, count)
    traits[:, DECAY] = torch.where(impact, torch.exp2(draws.uniform(2, 6.5, count)), 0.0)
    traits[:, PERIOD] = torch.where(impact, draws.uniform(-3, 1, count), draws.uniform(-1, 2, count))
    traits[:, PERIOD] += 10.0 * draws.chance(0.4, count)
    return Programs(segments, lengths, traits, torch.zeros(count, dtype=torch.bool, device=draws.device))


def _reordered(programs: Programs, order: Tensor) -> Programs:
    rows = torch.arange(len(programs), device=order.device)[:, None]
    return replace(programs, segments=programs.segments[rows, order], durations=programs.durations[rows, order])


def _joined(parts: list[Programs]) -> Programs:
    return Programs(
        torch.cat([part.segments for part in parts]),
        torch.cat([part.durations for part in parts]),
        torch.cat([part.traits for part in parts]),
        torch.cat([part.speech for part in parts]),
    )
