"""From sound programs to waveforms and log-mel features, batched; and what each program does over time, as targets."""

from __future__ import annotations

from math import log2, pi

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, interpolate, pad

from petl_bench.backbones.pretraining import programs as p
from petl_bench.backbones.pretraining.draws import Draws
from petl_bench.backbones.pretraining.programs import Programs
from petl_bench.benchmarks.audio import RATE
from petl_bench.benchmarks.features import SHIFT, WINDOW, log_mel

STEP = 80
"""Samples between two values of a program's tracks: 5 ms."""
FFT, HOP = 512, 256
TRACKS = ("pitch", "voiced", "noise", "formant1", "formant2", "formant3", "tilt", "place")
"""What a target says of a moment: the program's channels, levels as square roots; how far the event is, 0 to 1."""
PLACE = len(TRACKS) - 1


def control(programs: Programs, draws: Draws, samples: int) -> tuple[Tensor, Tensor]:
    """Tracks ``[n, steps, channels]`` every 5 ms, and the place in the event ``[n, steps]`` (0 outside)."""
    count, steps = len(programs), samples // STEP + 1
    device = programs.traits.device
    traits = programs.traits
    durations = programs.durations * torch.exp2(traits[:, p.TEMPO])[:, None]
    total = durations.sum(dim=1)
    room = samples / RATE
    fitting = torch.where(programs.speech & (total > 0.95 * room), 0.95 * room / total, 1.0)
    durations, total = durations * fitting[:, None], total * fitting
    onset = draws.uniform(0, 1, count) * (room - total).clamp_min(0.1 * room) - 0.05 * room
    period = torch.maximum(torch.exp2(traits[:, p.PERIOD]), total + 0.02)

    time = torch.arange(steps, device=device) * (STEP / RATE)
    local = time - onset[:, None]
    event = local.remainder(period[:, None])
    sounding = (local >= 0) & (event < total[:, None])
    ends = durations.cumsum(dim=1)
    segment = (event[:, :, None] >= ends[:, None, :]).sum(dim=2).clamp_max(p.SEGMENTS - 1)
    lasting = durations.gather(1, segment).clamp_min(1e-3)
    since = event - (ends - durations).gather(1, segment)
    within = (since / lasting).clamp(0, 1)[:, :, None]

    flat = programs.segments.flatten(2)
    values = flat.gather(1, segment[:, :, None].expand(-1, -1, flat.shape[2]))
    start, end = values.chunk(2, dim=2)
    values = start + within * (end - start)
    levels = values[..., p.VOICED : p.NOISE + 1] * sounding[:, :, None]
    levels = levels * torch.exp(-traits[:, p.DECAY, None].clamp_min(0) * since.clamp_min(0))[:, :, None]
    # A word's resonances move smoothly from sound to sound; its levels within 15 ms.
    smooth = _smoothed(values, 13)
    mix = traits[:, p.COARTICULATION].clamp(0, 1)[:, None, None]
    values = torch.where(programs.speech[:, None, None], mix * smooth + (1 - mix) * values, values)
    levels = torch.where(programs.speech[:, None, None], _smoothed(levels, 3), levels)
    values = torch.cat([values[..., : p.VOICED], levels, values[..., p.NOISE + 1 :]], dim=2)
    return values, torch.where(sounding, event / total[:, None], 0.0)


def _smoothed(tracks: Tensor, width: int) -> Tensor:
    """Running mean over ``width`` steps of ``[n, steps, channels]``."""
    padded = pad(tracks.transpose(1, 2), (width // 2, width // 2), mode="replicate")
    return avg_pool1d(padded, width, stride=1).transpose(1, 2)


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
    tremolo = (1 + wave(p.TREMOLO_RATE, traits[:, p.TREMOLO_DEPTH].clamp(0, 1))) / 2
    # Pulses exp(k (cos phase - 1)) have harmonics that fall as exp(-h^2 / 2k): k is capped so that none passes 8 kHz.
    sharpness = torch.minimum(torch.exp2(traits[:, p.BRIGHTNESS])[:, None], (RATE / 6 / pitch) ** 2).clamp_min(0.5)
    scaled = torch.stack([pitch, sharpness, values[..., p.VOICED] * tremolo, values[..., p.NOISE] * tremolo], dim=1)
    scaled = interpolate(scaled, size=steps * STEP, mode="linear", align_corners=False)[..., :samples]
    pitch, sharpness, voiced, noise = scaled.unbind(1)
    phase = 2 * pi * (pitch.cumsum(dim=1) / RATE + draws.uniform(0, 1, count, 1)).frac()
    pulses = torch.exp(sharpness * (phase.cos() - 1)) - 0.4 * sharpness.rsqrt()
    sound = voiced * pulses * sharpness.sqrt().sqrt() + noise * draws.normal(0.7, count, samples)
    per_sample = torch.exp2(traits[:, p.CRACKLE_RATE])[:, None] / RATE
    impulses = draws.uniform(0, 1, count, samples) < per_sample
    sound = sound + impulses * (15 * traits[:, p.CRACKLE_LEVEL, None].clamp_min(0)) * noise.clamp_min(0.05)
    sound = _filtered(sound, programs, values)
    return sound / sound.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-4)


def _filtered(sound: Tensor, programs: Programs, values: Tensor) -> Tensor:
    """Through three moving resonances and a slope, by short-time Fourier transform."""
    window = torch.hann_window(FFT, device=sound.device)
    spectrum = torch.stft(sound, FFT, HOP, window=window, return_complex=True, pad_mode="constant")
    centre = torch.arange(spectrum.shape[2], device=sound.device) * HOP // STEP
    frames = values[:, centre.clamp_max(values.shape[1] - 1)]
    scale = programs.traits[:, p.SCALE, None, None]
    centres = torch.exp2((frames[..., p.FORMANT1 : p.FORMANT3 + 1] + scale).clamp(log2(50), log2(7900)))
    width = torch.exp2(frames[..., p.WIDTH, None].clamp(log2(40), log2(4000)))
    frequencies = torch.arange(FFT // 2 + 1, device=sound.device) * (RATE / FFT)
    gain = 0.01 + torch.zeros((), device=sound.device)
    for number, loudness in enumerate((1.0, 0.6, 0.35)):
        distance = (frequencies - centres[..., number, None]) / (width * (1 + 0.4 * number))
        gain = gain + loudness / (1 + distance.square())
    slope = torch.log2(frequencies.clamp_min(50) / 500) / 6.02
    gain = gain * torch.exp2(frames[..., p.TILT, None] * slope)
    filtered: Tensor = torch.istft(spectrum * gain.transpose(1, 2), FFT, HOP, window=window, length=sound.shape[1])
    return filtered


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


def render(programs: Programs, draws: Draws, frames: int) -> tuple[Tensor, Tensor]:
    """Features ``[n, frames, 128]``, log-mel as a data set's, and targets ``[n, frames, TRACKS]`` every 10 ms."""
    count, samples = len(programs), WINDOW + SHIFT * (frames - 1)
    values, place = control(programs, draws, samples)
    sound = voice(programs, values, draws, samples)
    targets = _targets(values, place, frames)

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
    return mel + _coloured(draws, count, mel.shape[2]), targets


def _coloured(draws: Draws, count: int, bins: int) -> Tensor:
    """A microphone's frequency response in log power, ``[n, 1, bins]``: a smooth random curve."""
    return interpolate(draws.normal(0.7, count, 1, 6), size=bins, mode="linear", align_corners=True)


def _targets(values: Tensor, place: Tensor, frames: int) -> Tensor:
    levels = values[..., p.VOICED : p.NOISE + 1].clamp_min(0).sqrt()
    tracks = torch.cat(
        [values[..., : p.VOICED], levels, values[..., p.FORMANT1 : p.WIDTH], values[..., p.TILT :], place[..., None]],
        dim=2,
    )
    per_frame = avg_pool1d(tracks.transpose(1, 2), SHIFT // STEP).transpose(1, 2)
    return per_frame[:, :frames]
