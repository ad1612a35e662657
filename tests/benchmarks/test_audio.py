"""Audio as people have it: whatever cannot be used is named, whatever is converted is converted as documented."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from petl_bench.benchmarks.audio import read_audio, to_mono
from petl_bench.benchmarks.containers import mpeg_samples
from petl_bench.errors import UserError

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "wav, 24 bits": ("WAV", "PCM_24"),
    "wav, float": ("WAV", "FLOAT"),
    "wav, mu-law": ("WAV", "ULAW"),
    "wav, ADPCM": ("WAV", "IMA_ADPCM"),
    "wav, extensible": ("WAVEX", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "alac": ("CAF", "ALAC_16"),
    "sphere": ("NIST", "PCM_16"),
}


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((samples, channels))


def write(path: Path, samples: np.ndarray, rate: int = 48_000, kind: str = "wav") -> Path:
    container, subtype = FORMATS[kind]
    soundfile.write(path, samples, rate, format=container, subtype=subtype)
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_is_read_and_one_that_is_cut_short_refused(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "clip", noise(48_000, 2), kind=kind)
    samples, rate = read_audio(path)
    assert (samples.dtype, samples.shape[0], rate) == (np.float32, 2, 48_000)
    assert samples.shape[1] == pytest.approx(48_000, rel=0.03)  # ADPCM ends on a block
    assert np.array_equal(samples, soundfile.read(path, dtype="float32", always_2d=True)[0].T)
    whole = path.read_bytes()
    for share in (0.999, 0.9, 0.5, 0.1):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match=re.escape(str(path))) as error:
            read_audio(path)
        assert "\n" not in str(error.value)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(1_000))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"a.wav is cut short: its header promises 500 more bytes; get the file again"):
        read_audio(path)
    path = write(tmp_path / "a.ogg", noise(48_000), kind="vorbis")
    path.write_bytes(path.read_bytes()[: path.read_bytes().rindex(b"OggS")])
    with pytest.raises(UserError, match="a.ogg is cut short: its last page is not marked as the end"):
        read_audio(path)


@pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x7FFF_F000])
def test_a_stream_that_could_not_know_its_length_is_whole(tmp_path: Path, length: int) -> None:
    """Programs that write a WAV file to a pipe leave such lengths in its header."""
    path = write(tmp_path / "a.wav", noise(1_000))
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = length.to_bytes(4, "little")
    path.write_bytes(data)
    assert read_audio(path)[0].shape == (1, 1_000)


def test_an_mp3_file_that_does_not_say_its_length_is_not_read_in_part(tmp_path: Path) -> None:
    """Without its Xing header the decoder takes a variable rate for constant, and stops too early or goes on too long."""
    time = np.arange(5 * 44_100) / 44_100
    path = tmp_path / "a.mp3"
    sound = noise(len(time))[:, 0] * (time % 1 < 0.3) + 0.1 * np.sin(2_765 * time)
    for mode, fails in (("VARIABLE", True), ("CONSTANT", False)):
        soundfile.write(path, sound, 44_100, bitrate_mode=mode, compression_level=0.5)
        assert mpeg_samples(path) == pytest.approx(len(time), abs=4 * 1_152)
        data = path.read_bytes()
        path.write_bytes(data[data.index(b"\xff\xfb", 64) :])
        if fails:
            with pytest.raises(UserError, match="does not say how long it is: convert it to WAV or FLAC"):
                read_audio(path)
        else:
            assert read_audio(path)[0].shape[1] == pytest.approx(len(time), abs=4 * 1_152)


def test_an_mp3_file_may_have_tags(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", noise(48_000), kind="mp3")
    tag = b"ID3\x04\0\0" + bytes((0, 0, 2, 10)) + b"\xff\xfb" + bytes(264)
    path.write_bytes(tag + path.read_bytes() + b"TAG" + bytes(125))
    assert read_audio(path)[0].shape == (1, 48_000)
    assert mpeg_samples(path) > 48_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"path,label\n" * 200, "cannot be decoded: .*[Ff]ormat not recognised"),
        (bytes(5_000), "cannot be decoded"),
        (b"RIFF\xff\xff\xff\xffWAVE", "cannot be decoded"),
        (bytes(200) + b"\xff\xfb\x90\xc4" * 500, "cannot be decoded"),
    ],
)
def test_what_is_no_audio_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"a.wav {message}") as error:
        read_audio(path)
    assert "\n" not in str(error.value)


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a.wav cannot be read: No such file"):
        read_audio(tmp_path / "a.wav")
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("folder.wav", "pipe.wav"):
        with pytest.raises(UserError, match=rf"{name} is not a file"):
            read_audio(tmp_path / name)


def test_a_container_that_cannot_tell_its_end_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.voc", noise(100), 16_000, format="VOC", subtype="PCM_16")
    with pytest.raises(UserError, match="a.voc is a file of type VOC, .* convert it to WAV or FLAC"):
        read_audio(tmp_path / "a.voc")
    (tmp_path / "a.raw").write_bytes(bytes(1_000))
    with pytest.raises(UserError, match="a.raw has no header: convert it"):
        read_audio(tmp_path / "a.raw")


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no samples"):
        read_audio(write(tmp_path / "a.wav", noise(0)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, 32_767.0])
def test_samples_that_are_no_sound_are_refused(tmp_path: Path, value: float) -> None:
    samples = noise(1_000)
    samples[700] = value
    with pytest.raises(UserError, match="a.wav holds samples that are not finite, or far beyond full scale"):
        read_audio(write(tmp_path / "a.wav", samples, kind="wav, float"), seconds=0.001)


def with_header(path: Path, *, rate: int = 16_000, channels: int = 1) -> Path:
    """A WAV file of 1,000 samples whose header says so."""
    write(path, noise(1_000))
    data = bytearray(path.read_bytes())
    data[22:36] = (
        channels.to_bytes(2, "little")
        + rate.to_bytes(4, "little")
        + (2 * channels * rate % 2**32).to_bytes(4, "little")
        + (2 * channels).to_bytes(2, "little")
        + (16).to_bytes(2, "little")
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "rate",
    [
        8_000,
        11_025,
        12_000,
        16_000,
        22_050,
        22_255,
        24_000,
        32_000,
        37_800,
        44_100,
        48_000,
        88_200,
        96_000,
        176_400,
        192_000,
    ],
)
def test_usual_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    samples, found = read_audio(with_header(tmp_path / "a.wav", rate=rate))
    assert found == rate
    assert len(to_mono(samples, found)) == math.ceil(1_000 * 16_000 / rate)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"rate": 44_101}, r"a rate of 44,101 Hz, which has too little in common with 16,000 Hz .*convert it"),
        ({"rate": 767_999}, "too little in common"),
        ({"rate": 999}, "a rate of 999 Hz: 1,000 to 768,000 Hz are read"),
        ({"rate": 2_000_000_000}, "a rate of 2,000,000,000 Hz"),
        ({"channels": 100}, "100 channels: at most 64 are read"),
    ],
)
def test_headers_that_would_cost_gigabytes_are_refused(tmp_path: Path, header: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=f"a.wav has .*{message}"):
        read_audio(with_header(tmp_path / "a.wav", **header))


def test_a_false_claim_of_samples_allocates_nothing(tmp_path: Path) -> None:
    """2**36 - 1 samples, 256 GB, by a FLAC header."""
    path = write(tmp_path / "a.flac", noise(1_000), kind="flac")
    data = bytearray(path.read_bytes())
    info = int.from_bytes(data[18:26], "big")
    data[18:26] = (info >> 36 << 36 | 2**36 - 1).to_bytes(8, "big")
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a.flac (cannot be decoded|is cut short)"):
        read_audio(path)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("kind", ["wav", "flac", "vorbis", "mp3"])
def test_of_a_long_file_the_beginning_is_kept_and_gives_the_same_samples(tmp_path: Path, kind: str, rate: int) -> None:
    path = write(tmp_path / "a", noise(20 * rate, 2), rate, kind)
    whole, part = read_audio(path)[0], read_audio(path, 3.0)[0]
    assert whole.shape[1] == 20 * rate
    assert part.shape[1] == 4 * rate
    assert np.array_equal(whole[:, : 4 * rate], part)
    assert torch.equal(to_mono(whole, rate)[:48_000], to_mono(part, rate)[:48_000])


@pytest.mark.parametrize("kind", ["wav", "flac", "vorbis", "mp3"])
def test_damage_behind_what_is_kept_is_found(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a", noise(20 * 16_000), 16_000, kind)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError):
        read_audio(path, 3.0)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = noise(1_600, seed=1), noise(1_600, seed=2)
    both = read_audio(write(tmp_path / "a.wav", np.hstack([left, right]), 16_000, "wav, float"))
    np.testing.assert_allclose(to_mono(*both), (left + right)[:, 0] / 2, atol=1e-7)


def test_every_real_clip_is_whole(shared_data: Path) -> None:
    files = [
        *(shared_data / "ESC-10" / "audio").iterdir(),
        *(shared_data / "speech_commands_v0.02_sample").glob("*/*.wav"),
    ]
    assert len(files) == 400 + 2_408
    for path in files:
        samples, rate = read_audio(path)
        assert samples.shape[1] == soundfile.info(path).frames
        assert rate in (16_000, 44_100)


def test_streams_one_behind_the_other_are_not_read_as_the_first(tmp_path: Path) -> None:
    both, content = tmp_path / "both.ogg", b""
    for rate in (16_000, 44_100):
        content += write(tmp_path / "one", noise(rate), rate, "vorbis").read_bytes()
    both.write_bytes(content)
    with pytest.raises(UserError, match="a second stream follows the first"):
        read_audio(both)
