"""A folder as somebody might have it: field recordings, cut into clips, sorted into a folder per label.

python make_recordings.py recordings evening.flac [--recordings 10] [--clips 3]

Every recording has its own level, wind and animal (or weather, or engine), and was cut into clips of 0.7 to 2 seconds.
Three files are as they should not be: one was cut short, one lies under two labels, one is a quieter copy of a clip in
another recording. The second file is a recording of this evening that nobody has labelled.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

RATES = (16_000, 22_050, 44_100, 48_000)


def hum(rng, seconds, rate):
    """Noise that falls with frequency, as wind in a microphone: amplitude as f to the power -0.5 to -1.2."""
    spectrum = np.fft.rfft(rng.standard_normal(int(seconds * rate)))
    frequencies = np.fft.rfftfreq(int(seconds * rate), 1 / rate)
    return normalised(np.fft.irfft(spectrum / np.maximum(frequencies, 30) ** rng.uniform(0.5, 1.2)))


def pulses(rng, seconds, rate, starts, tone, decay):
    """A damped tone at every start."""
    sound = np.zeros(int(seconds * rate))
    for start in starts[starts < seconds - 0.01]:
        time = np.arange(len(sound) - int(start * rate)) / rate
        sound[-len(time) :] += rng.uniform(0.6, 1) * np.sin(2 * np.pi * tone * time) * np.exp(-time / decay)
    return normalised(sound)


def cricket(rng, seconds, rate):
    """Chirps of a few pulses, at 3 to 5 kHz."""
    chirps = np.arange(rng.uniform(0, 0.3), seconds, 1 / rng.uniform(2, 4))
    starts = np.concatenate([chirps + pulse / rng.uniform(30, 45) for pulse in range(rng.integers(2, 5))])
    return pulses(rng, seconds, rate, starts, rng.uniform(3000, 5000), 0.006)


def frog(rng, seconds, rate):
    """Croaks of many quick pulses, at 0.5 to 3 kHz."""
    croaks = np.arange(rng.uniform(0, 0.3), seconds, rng.uniform(0.5, 0.9))
    starts = np.concatenate([croaks + pulse / rng.uniform(25, 60) for pulse in range(rng.integers(6, 12))])
    return pulses(rng, seconds, rate, starts, rng.uniform(500, 3000), 0.012)


def rain(rng, seconds, rate):
    """A hiss, and drops that fall when they like."""
    drops = rng.uniform(0, seconds, int(seconds * rng.uniform(10, 60)))
    return hum(rng, seconds, rate) + 0.6 * pulses(rng, seconds, rate, drops, rng.uniform(1500, 4000), 0.004)


def tractor(rng, seconds, rate):
    """Harmonics of an engine that turns unevenly."""
    turns = np.cumsum(rng.uniform(20, 45) * (1 + 0.05 * hum(rng, seconds, rate))) / rate
    return normalised(sum(np.sin(2 * np.pi * n * turns + rng.uniform(0, 6)) / n**0.7 for n in range(1, 40)))


LABELS = (cricket, frog, rain, tractor)


def normalised(sound):
    return sound / max(np.abs(sound).max(), 1e-9)


def recorded(rng, label, seconds, rate):
    """A sound in some wind, at some level."""
    level, wind = rng.uniform(0.2, 0.8), rng.uniform(0.3, 1.5)
    return level * normalised(label(rng, seconds, rate) + wind * hum(rng, seconds, rate))


def write_recording(folder, label, number, clips, rng):
    """One recording as its clips: mono WAV, or stereo FLAC."""
    rate, suffix = RATES[number % len(RATES)], "wav" if number % 2 else "flac"
    sound = recorded(rng, label, 2.2 * clips, rate)
    for clip in range(clips):
        part = sound[int(2.2 * clip * rate) :][: int(rng.uniform(0.7, 2) * rate)]
        path = folder / label.__name__ / f"{label.__name__}-{number:02}_{clip + 1}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, part if suffix == "wav" else np.stack([part, 0.9 * part], axis=1), rate)


def spoil(folder):
    """What happens to folders of recordings."""
    cut = folder / "frog" / "frog-03_1.wav"
    cut.write_bytes(cut.read_bytes()[:20_000])
    (folder / "tractor" / "tractor-02_2.flac").write_bytes((folder / "rain" / "rain-02_1.flac").read_bytes())
    sound, rate = soundfile.read(folder / "cricket" / "cricket-01_1.wav")
    soundfile.write(folder / "cricket" / "cricket-04_2.flac", 0.5 * sound, rate)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("unlabelled", type=Path)
    parser.add_argument("--recordings", type=int, default=10, help="of every label, at least 5")
    parser.add_argument("--clips", type=int, default=3, help="of every recording, at least 2")
    options = parser.parse_args()
    for at, label in enumerate(LABELS):
        for number in range(1, options.recordings + 1):
            write_recording(options.folder, label, number, options.clips, np.random.default_rng([at, number]))
    spoil(options.folder)
    soundfile.write(options.unlabelled, recorded(np.random.default_rng(0), frog, 4, 44_100), 44_100)


if __name__ == "__main__":
    main()
