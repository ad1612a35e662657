"""From sound programs to waveforms and log-mel features, all clips at once."""

from __future__ import annotations

from math import log2, pi

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from petl_bench.backbones.pretraining import programs as p
from petl_bench.backbones.pretraining.course import STEP, Course
from petl_bench.backbones.pretraining.draws import Draws
from petl_bench.backbones.pretraining.programs import Programs
from petl_bench.benchmarks.features import log_mel
from petl_bench.cards import RATE, SHIFT, WINDOW

FFT, HOP = 512, 256
WANDERINGS = 6
"""Turns per second of a level that wanders."""


def voice(programs: Programs, values: Tensor, draws: Draws, samples: int) -> Tensor:
    """The programs' sounds ``[n, samples]`` with mean square 1: pulses, noise and impulses through resonances."""
    count, steps = values.shape[:2]
    traits = programs.traits
    time = torch.arange(steps, device=values.device) * (STEP / RATE)

    def wave(rate: int, depth: Tensor) -> Tensor:
        cycles = torch.exp2(traits[:, rate])[:, None] * time + draws.uniform(0, 1, count, 1)
        return depth[:, None] * torch.sin(2 * pi * cycles)

    octaves = traits[:, p.REGISTER, None] + values[..., p.PITCH] + wave(p.VIBRATO_RATE, traits[:, p.VIBRATO_DEPTH])
    pitch = torch.exp2(octaves.clamp(log2(30), log2(3500)))
    tremolo = (1 + wave(p.TREMOLO_RATE, traits[:, p.TREMOLO_DEPTH])) / 2
    wander = draws.normal(1, count, 1, 2 + WANDERINGS * samples // RATE)
    wander = interpolate(wander, size=steps, mode="linear", align_corners=True)[:, 0]
    tremolo = tremolo * torch.exp(traits[:, p.FLUCTUATION, None] * wander)
    # Pulses exp(k (cos phase - 1)) have harmonics that fall as exp(-h^2 / 2k): k is capped so that none passes 8 kHz.
    cap = (RATE / 6 / pitch.amax(dim=1, keepdim=True)).square()
    sharpness = torch.minimum(torch.exp2(traits[:, p.BRIGHTNESS, None]), cap).clamp_min(0.5)
    slow = torch.stack([pitch, values[..., p.VOICED] * tremolo, values[..., p.NOISE] * tremolo], dim=1)
    pitch, voiced, noise = interpolate(slow, size=steps * STEP, mode="linear")[..., :samples].unbind(1)
    cycles = (pitch / RATE).cumsum(dim=1).add_(draws.uniform(0, 1, count, 1)).frac_()
    pulses = cycles.mul_(2 * pi).cos_().sub_(1).mul_(sharpness).exp_().sub_(0.4 * sharpness.rsqrt())
    hiss = draws.normal(0.7, count, samples)
    # The rarest samples of the noise are its impulses.
    per_sample = torch.exp2(traits[:, p.CRACKLE_RATE]).clamp_max(RATE / 10)[:, None] / RATE
    rare = 0.7 * 2**0.5 * torch.erfinv(1 - 2 * per_sample)
    impulses = (hiss > rare) * (15 * traits[:, p.CRACKLE_LEVEL, None])
    sound = voiced * pulses.mul_(sharpness**0.25) + noise * hiss + impulses * noise.clamp_min(0.05)
    sound = _filtered(sound, programs, values)
    return sound / sound.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-4)


def _filtered(sound: Tensor, programs: Programs, values: Tensor) -> Tensor:
    """Through three moving resonances and a slope, in frames that overlap by half: their Hanning windows add to 1."""
    samples = sound.shape[1]
    padded = pad(sound, (HOP, HOP + -samples % HOP))
    spectrum = torch.fft.rfft(padded.unfold(1, FFT, HOP) * torch.hann_window(FFT, device=sound.device))
    centre = torch.arange(spectrum.shape[1], device=sound.device) * HOP // STEP
    frames = values[:, centre.clamp_max(values.shape[1] - 1)]
    scale = programs.traits[:, p.SCALE, None, None]
    centres = torch.exp2((frames[..., p.FORMANT1 : p.FORMANT3 + 1] + scale).clamp(log2(50), log2(7900)))
    width = torch.exp2(frames[..., p.WIDTH].clamp(log2(40), log2(4000)))
    frequencies = torch.arange(FFT // 2 + 1, device=sound.device) * (RATE / FFT)
    gain = torch.full((*width.shape, len(frequencies)), 0.01, device=sound.device)
    for number, loudness in enumerate((1.0, 0.6, 0.35)):
        breadth = (width * (1 + 0.4 * number)).square()[..., None]
        distance = (frequencies - centres[..., number, None]).square_().add_(breadth)
        gain.addcdiv_(loudness * breadth, distance)
    slope = torch.log2(frequencies.clamp_min(50) / 500) / 6.02
    gain.mul_((frames[..., p.TILT, None] * slope).exp2_())
    torch.view_as_real(spectrum).mul_(gain[..., None])
    parts = torch.fft.irfft(spectrum, FFT)
    joined: Tensor = (parts[:, 1:, :HOP] + parts[:, :-1, HOP:]).flatten(1)[:, :samples]
    return joined


def _reverberated(sound: Tensor, draws: Draws) -> Tensor:
    """With an exponentially fading noise of 0.1 to 0.8 s as the room's answer."""
    count, samples = sound.shape
    length = RATE // 2
    time = torch.arange(length, device=sound.device) / RATE
    fading = torch.exp(-6.9 * time / torch.exp2(draws.uniform(-3.3, -0.3, count, 1)))
    answer = fading * draws.normal(1, count, length)
    answer = answer / answer.square().sum(dim=1, keepdim=True).sqrt() * torch.exp2(draws.uniform(-4, 0.3, count, 1))
    size = 1 << (samples + length - 1).bit_length()
    wet: Tensor = torch.fft.irfft(torch.fft.rfft(sound, size) * torch.fft.rfft(answer, size), size)[:, :samples]
    return sound + wet


def _background(draws: Draws, count: int, samples: int) -> Tensor:
    """Steady noise of any slope with mean square 1."""
    size = 1 << (samples - 1).bit_length()
    frequencies = torch.arange(size // 2 + 1, device=draws.device) * (RATE / size)
    weight = (frequencies.clamp_min(40) / 500) ** draws.uniform(-1.2, 0.3, count, 1)
    weight = weight / weight.square().mean(dim=1, keepdim=True).sqrt() * (size / 2) ** 0.5
    parts = draws.normal(1, count, size // 2 + 1, 2)
    noise: Tensor = torch.fft.irfft(weight * torch.view_as_complex(parts), size)[:, :samples]
    return noise


def render(programs: Programs, course: Course, draws: Draws, frames: int) -> Tensor:
    """Log-mel features ``[n, frames, 128]``, not normalised: the sounds in rooms, mixtures and noise, at any level."""
    count, samples = len(programs), WINDOW + SHIFT * (frames - 1)
    sound = voice(programs, course.values, draws, samples)
    order = draws.uniform(0, 1, count).argsort()
    wet = order[: count // 3]
    sound[wet] = _reverberated(sound[wet], draws)
    # Another clip, softly, behind a quarter of them.
    behind = torch.exp2(draws.uniform(-4.5, -1.5, count, 1)) * draws.chance(0.25, count, 1)
    sound = sound + behind * sound.roll(count // 3, dims=0)
    noisy = order[-2 * count // 3 :]
    ratio = torch.exp2(draws.uniform(-7, -0.5, len(noisy), 1))
    sound[noisy] = sound[noisy] + ratio * _background(draws, len(noisy), samples)
    level = 10 ** (draws.uniform(-55, -12, count, 1) / 20)
    mel = log_mel(level * sound)
    return mel + _coloured(draws, count, mel.shape[2])


def _coloured(draws: Draws, count: int, bins: int) -> Tensor:
    """A microphone's frequency response in log power, ``[n, 1, bins]``: a smooth random curve."""
    return interpolate(draws.normal(0.7, count, 1, 6), size=bins, mode="linear", align_corners=True)
