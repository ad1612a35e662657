"""Sound programs: what a generated sound does over time, as numbers.

A program is a sequence of up to SEGMENTS segments, each with the values of CHANNELS at its start and at its end, and
TRAITS of the sound as a whole. Speech-like programs alternate vowels and consonants; the others are environmental:
textures, impacts, calls, repeated events.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch
from torch import Tensor

from petl_bench.backbones.pretraining.draws import Draws

SEGMENTS = 6
CHANNELS = ("pitch", "voiced", "noise", "formant1", "formant2", "formant3", "width", "tilt")
"""Octaves from the register; two levels; three resonances and their width in log2 Hz; slope in dB per octave."""
PITCH, VOICED, NOISE, FORMANT1, FORMANT2, FORMANT3, WIDTH, TILT = range(len(CHANNELS))
LEVELS = slice(VOICED, NOISE + 1)
CONSONANTS = ("stop", "fricative", "nasal", "glide")
STOP, FRICATIVE, NASAL, GLIDE = range(len(CONSONANTS))
VOWEL = -1

TRAITS = (
    "register",  # log2 Hz of the pitch
    "brightness",  # log2 of the pulse's concentration: 0 is nearly a sine
    "vibrato_rate",  # log2 Hz
    "vibrato_depth",  # octaves
    "tremolo_rate",  # log2 Hz
    "tremolo_depth",  # 0 to 1
    "crackle_rate",  # log2 of impulses per second
    "crackle_level",
    "fluctuation",  # how far the level wanders, as a natural logarithm
    "decay",  # 1 / s, of the level inside each segment
    "period",  # log2 s from one event to the next
    "scale",  # log2 factor on all resonances: the length of the vocal tract or of a body
    "tempo",  # log2 factor on all durations
    "coarticulation",  # 0 to 1: how far resonances are smoothed over the borders of segments
)
REGISTER, BRIGHTNESS, VIBRATO_RATE, VIBRATO_DEPTH, TREMOLO_RATE, TREMOLO_DEPTH = range(6)
CRACKLE_RATE, CRACKLE_LEVEL, FLUCTUATION, DECAY, PERIOD, SCALE, TEMPO, COARTICULATION = range(6, len(TRAITS))

LONGEST_PERIOD = 4.0
ONCE = 10.0
"""What is added to the period, in log2 s, of an event that comes once; others are under LONGEST_PERIOD."""


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


def draw_programs(draws: Draws, count: int, speech_share: float, seconds: float) -> Programs:
    """Fresh programs for clips that last ``seconds``."""
    speech = draws.chance(speech_share, count)
    spoken, other = _speech(draws, count), _environmental(draws, count, seconds)
    segments = torch.where(speech[:, None, None, None], spoken.segments, other.segments)
    durations = torch.where(speech[:, None], spoken.durations, other.durations)
    traits = torch.where(speech[:, None], spoken.traits, other.traits)
    return Programs(segments, durations, traits, speech)


def _speech(draws: Draws, count: int) -> Programs:
    """Words of made-up syllables: vowels and diphthongs between stops, fricatives, nasals and glides."""
    shape = (count, SEGMENTS)
    places = torch.arange(SEGMENTS, device=draws.device).expand(shape)
    is_vowel = (places + draws.below(2, count, 1)) % 2 == 0
    kind = torch.where(is_vowel, VOWEL, draws.below(len(CONSONANTS), *shape))
    start = _vowel(draws, shape)
    moves = draws.chance(0.4, *shape) | (kind == GLIDE)
    end = torch.where(moves[..., None], _vowel(draws, shape), start)
    _make_consonants(start, end, kind, draws)

    used = 2 + draws.below(SEGMENTS - 1, count, 1)
    lengths = torch.where(is_vowel, draws.uniform(0.08, 0.3, *shape), draws.uniform(0.04, 0.16, *shape))
    falling = torch.linspace(0.15, -0.15, SEGMENTS + 1, device=draws.device)
    contour = draws.normal(0.12, count, SEGMENTS + 1) + falling
    start[..., PITCH], end[..., PITCH] = contour[:, :-1], contour[:, 1:]
    traits = _traits(
        register=log2(160) + draws.normal(0.6, count),
        scale=draws.normal(0.14, count),
        tempo=draws.normal(0.25, count),
        brightness=draws.uniform(6, 9, count),
        vibrato_rate=draws.uniform(1, 3, count),
        vibrato_depth=draws.uniform(0, 0.03, count),
        tremolo_rate=draws.uniform(1, 3, count),
        tremolo_depth=draws.uniform(0, 0.2, count),
        period=draws.uniform(0, log2(3), count) + ONCE * draws.chance(0.5, count),
        coarticulation=draws.uniform(0, 1, count),
    )
    speech = torch.ones(count, dtype=torch.bool, device=draws.device)
    return Programs(torch.stack([start, end], dim=2), lengths * (places < used), traits, speech)


def _make_consonants(start: Tensor, end: Tensor, kind: Tensor, draws: Draws) -> None:
    """Turn the vowels ``[n, SEGMENTS, channels]`` whose kind is a consonant into that, in place."""
    noisy = (kind == STOP) | (kind == FRICATIVE)
    nasal, glide = kind == NASAL, kind == GLIDE
    centre = draws.uniform(log2(1200), log2(7000), *kind.shape)
    voicing = draws.uniform(0.1, 0.4, *kind.shape) * draws.chance(0.4, *kind.shape)
    hiss = draws.uniform(0.1, 0.5, *kind.shape)
    for values, burst in ((start, 0.0), (end, 1.5)):  # a stop is silent before it bursts
        for where, channel, value in (
            (noisy, NOISE, hiss * torch.where(kind == STOP, burst, 1.0)),
            (noisy, VOICED, voicing),
            (noisy, FORMANT1, centre - 0.3),
            (noisy, FORMANT2, centre),
            (noisy, FORMANT3, centre + 0.3),
            (noisy, WIDTH, log2(700)),
            (noisy, TILT, 0.0),
            (nasal, VOICED, 0.4),
            (nasal, FORMANT1, log2(270)),
            (nasal, TILT, -11.0),
            (glide, VOICED, 0.7),
        ):
            values[..., channel] = torch.where(where, value, values[..., channel])


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
    levels = segments[..., LEVELS].clamp_min(0)
    sounding = torch.stack([harmonic, noisy], dim=-1)[:, :, None]
    segments[..., LEVELS] = levels * sounding

    traits = _traits(
        register=draws.uniform(log2(50), log2(1500), count),
        brightness=draws.uniform(0, 9, count),
        vibrato_rate=draws.uniform(0.5, 4, count),
        vibrato_depth=draws.uniform(0, 0.15, count) * draws.chance(0.4, count),
        tremolo_rate=draws.uniform(-1, 5.5, count),
        tremolo_depth=draws.uniform(0.2, 1, count) * draws.chance(0.5, count),
        crackle_rate=draws.uniform(1, 9, count),
        crackle_level=draws.uniform(0.1, 1, count) * draws.chance(0.25, count),
        fluctuation=draws.uniform(0.2, 1.2, count) * draws.chance(0.4, count),
        scale=draws.normal(0.1, count),
        tempo=draws.normal(0.15, count),
        decay=torch.where(impact, torch.exp2(draws.uniform(2, 6.5, count)), 0.0),
        period=torch.where(impact, draws.uniform(-3, 1, count), draws.uniform(-1, 2, count))
        + ONCE * draws.chance(0.4, count),
    )
    speech = torch.zeros(count, dtype=torch.bool, device=draws.device)
    return Programs(segments, lengths, traits, speech)


def _traits(**drawn: Tensor) -> Tensor:
    """``[n, traits]`` of the traits by name; those not given are 0."""
    nothing = torch.zeros_like(drawn["register"])
    return torch.stack([drawn.get(name, nothing) for name in TRAITS], dim=1)
