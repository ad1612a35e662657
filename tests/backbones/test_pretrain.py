"""The pretraining recipe: deterministic, resumable bit for bit, any length; what it writes is a backbone."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from petl_bench.backbones.pretrain import STATE, Recipe, Run, generate, pretrain
from petl_bench.backbones.pretraining import programs as p
from petl_bench.backbones.pretraining.course import STEP, draw_course
from petl_bench.backbones.pretraining.draws import Draws
from petl_bench.backbones.pretraining.objective import CENTRES, DEVIATIONS, masked, track_error
from petl_bench.backbones.pretraining.programs import Programs, draw_programs
from petl_bench.backbones.pretraining.synthesis import voice
from petl_bench.backbones.pretraining.targets import NOISE, PLACE, PLACES, PROPERTIES, TRACKS, VOICED, targets_of
from petl_bench.backbones.resolve import resolve
from petl_bench.checkpoints import read_state, write_state
from petl_bench.errors import UserError

CPU = torch.device("cpu")
TINY = Recipe(steps=20, seed=3, hidden_size=32, layers=1, heads=2, batches=((48, 16), (112, 8)), calibration=((48, 8),))


def draws(seed: int = 0) -> Draws:
    return Draws.seeded(seed, CPU)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_one_seed_gives_bit_equal_weights_and_another_seed_others(tmp_path: Path) -> None:
    pretrain(TINY, tmp_path / "once", CPU)
    torch.randn(7)  # nothing global is read
    pretrain(TINY, tmp_path / "twice", CPU)
    pretrain(replace(TINY, seed=4), tmp_path / "other", CPU)
    assert same(weights(tmp_path / "once"), weights(tmp_path / "twice"))
    assert not same(weights(tmp_path / "once"), weights(tmp_path / "other"))


def test_a_stopped_and_resumed_run_gives_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    pretrain(TINY, tmp_path / "whole", CPU)

    class StoppedError(Exception):
        pass

    def stop(log: dict[str, float]) -> None:
        if log["step"] == 13:
            raise StoppedError

    with pytest.raises(StoppedError):
        pretrain(TINY, tmp_path / "parts", CPU, save_every=6, log_every=1, on_log=stop)
    pretrain(TINY, tmp_path / "parts", CPU, resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_training_learns_to_read_the_tracks() -> None:
    run = Run(replace(TINY, steps=30, warmup=5, lr=3e-3, batches=((48, 32),)), CPU)
    errors = [run.train_step()["tracks"] for _ in range(30)]
    assert sum(errors[-5:]) < 0.9 * sum(errors[:5])


def test_what_it_writes_is_loaded_as_any_backbone_at_any_length(tmp_path: Path) -> None:
    pretrain(replace(TINY, steps=1), tmp_path, CPU)
    source = resolve(str(tmp_path))
    assert source.description.geometry.hidden_size == 32
    for frames in (100, 208, 512, 700):
        backbone = source.cls.load(source.folder, frames)
        assert backbone.tokens(torch.zeros(2, frames, 128)).isfinite().all()
    assert {tensor.dtype for tensor in weights(tmp_path).values()} == {torch.float16}


def test_training_and_the_loaded_backbone_compute_the_same_tokens(tmp_path: Path) -> None:
    run = Run(TINY, CPU)
    features = torch.randn(2, 112, 128, generator=torch.Generator().manual_seed(0))
    run.network.model.save_pretrained(tmp_path)
    with torch.no_grad():
        trained = run.network.tokens(features)
    source = resolve(str(tmp_path))
    torch.testing.assert_close(source.cls.load(tmp_path, 112).tokens(features), trained, rtol=1e-4, atol=1e-5)


def test_the_final_norm_standardises_pooled_features_of_generated_sounds() -> None:
    """On new sounds, not those of the calibration; the network itself keeps its norm."""
    recipe = replace(TINY, calibration=((48, 256), (112, 128)))
    run = Run(recipe, CPU)
    before = run.network.model.layernorm.weight.clone()
    model = run.backbone()
    assert torch.equal(before, run.network.model.layernorm.weight)
    run.network.model = model
    pooled = []
    for frames, _ in recipe.calibration:
        features, _ = generate(draws(7), 96, frames, 0.5)
        with torch.no_grad():
            pooled.append(run.network.tokens(features).mean(dim=1))
    means = torch.stack([part.mean(dim=0) for part in pooled])
    assert means.mean(dim=0).abs().mean() < 0.3
    deviations = torch.stack([part.std(dim=0) for part in pooled])
    assert 0.7 < float(deviations.mean()) < 1.3


def test_a_finished_run_is_not_overwritten_nor_resumed_with_another_recipe(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pretraining run to resume"):
        pretrain(TINY, tmp_path, CPU, resume=True)
    pretrain(replace(TINY, steps=1), tmp_path, CPU)
    with pytest.raises(UserError, match="--resume"):
        pretrain(replace(TINY, steps=1), tmp_path, CPU)
    with pytest.raises(UserError, match="begun with steps 1, not 20"):
        pretrain(TINY, tmp_path, CPU, resume=True)


def test_a_model_that_lies_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a model: give another --out"):
        pretrain(TINY, tmp_path, CPU)


def test_resuming_a_finished_run_brings_lost_weights_back(tmp_path: Path) -> None:
    pretrain(replace(TINY, steps=2), tmp_path, CPU)
    before = weights(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    pretrain(replace(TINY, steps=2), tmp_path, CPU, resume=True)
    assert same(before, weights(tmp_path))


def test_another_number_of_threads_is_remarked(tmp_path: Path) -> None:
    pretrain(replace(TINY, steps=1), tmp_path, CPU)
    tensors, facts = read_state(tmp_path / STATE)
    write_state(tmp_path / STATE, tensors, {**facts, "made_with": "cpu, 64 threads, torch 1.0"})
    remarks: list[str] = []
    pretrain(replace(TINY, steps=1), tmp_path, CPU, resume=True, on_remark=remarks.append)
    assert "begun on cpu, 64 threads, torch 1.0, goes on on cpu" in remarks[0]


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80\x04."])
def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(UserError, match="resume.safetensors is damaged") as error:
        pretrain(TINY, tmp_path, CPU, resume=True)
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "sub"):
        with pytest.raises(UserError, match="cannot be written to"):
            pretrain(TINY, folder, CPU)


@pytest.mark.parametrize("frames", [100, 208, 512])
def test_sounds_are_finite_batched_and_determined_by_the_seed(frames: int) -> None:
    features, targets = generate(draws(), 12, frames, 0.5)
    assert features.shape == (12, frames, 128)
    assert targets.tracks.shape == (12, frames, len(TRACKS))
    assert targets.outline.shape == (12, PLACES, len(TRACKS))
    assert targets.properties.shape == targets.relevance.shape == (12, len(PROPERTIES))
    assert all(tensor.isfinite().all() for tensor in (features, *vars(targets).values()))
    assert torch.equal(features, generate(draws(), 12, frames, 0.5)[0])
    assert not torch.equal(features, generate(draws(1), 12, frames, 0.5)[0])


def one_tone(first: float, second: float) -> Programs:
    """A sound of two segments of 0.3 s, tones of two pitches in octaves from 400 Hz."""
    programs = draw_programs(draws(), 1, 0.0, 1.0)
    segments, traits = torch.zeros_like(programs.segments), torch.zeros_like(programs.traits)
    segments[:, 0, :, p.PITCH], segments[:, 1, :, p.PITCH] = first, second
    segments[..., p.VOICED] = 1.0
    segments[..., p.FORMANT1 : p.FORMANT3 + 1] = math.log2(600)
    segments[..., p.WIDTH] = math.log2(4000)
    durations = torch.tensor([[0.3, 0.3, 0, 0, 0, 0]])
    traits[:, p.REGISTER], traits[:, p.PERIOD] = math.log2(400), p.ONCE
    return Programs(segments, durations, traits, programs.speech)


def test_a_program_sounds_as_its_tracks_say() -> None:
    programs = one_tone(0.0, 1.0)
    course = draw_course(programs, draws(), 16_000)
    sound = voice(programs, course.values, draws(), 16_000)[0]
    sounding = (course.place[0] > 0).nonzero()[:, 0] * STEP
    middle = int(sounding[0] + sounding[-1]) // 2
    assert (sound[: int(sounding[0]) - 800].abs() < 0.01).all()
    for part, pitch in ((sound[middle - 4000 : middle - 800], 400), (sound[middle + 800 : middle + 4000], 800)):
        strongest = torch.fft.rfft(part * torch.hann_window(len(part))).abs().argmax() * 16_000 / len(part)
        assert float(strongest) == pytest.approx(pitch, abs=10)


def test_the_outline_says_what_comes_first() -> None:
    def outline(programs: Programs) -> torch.Tensor:
        return targets_of(programs, draw_course(programs, draws(), 16_000), 98).outline[0, :, p.PITCH]

    half = PLACES // 2
    assert torch.equal(outline(one_tone(0.0, 1.0)), torch.tensor([0.0] * half + [1.0] * half))
    assert torch.equal(outline(one_tone(1.0, 0.0)), torch.tensor([1.0] * half + [0.0] * half))


def test_track_error_is_nil_for_the_truth_and_blind_to_the_resonances_of_silence() -> None:
    _, targets = generate(draws(), 8, 48, 0.5)
    tracks = targets.tracks[:, :, None]
    centre, deviation = torch.tensor(CENTRES), torch.tensor(DEVIATIONS)
    truth = (tracks[:, :, 0] - centre) / deviation
    assert track_error(truth, tracks) < 0.005
    silent = (tracks[:, :, 0, VOICED] + tracks[:, :, 0, NOISE]) == 0
    assert silent.any()
    wrong = truth.clone()
    wrong[silent] += torch.tensor([1.0 if name.startswith("formant") else 0.0 for name in TRACKS])
    assert track_error(wrong, tracks) < 0.02
    wrong[..., PLACE] += 1
    assert track_error(wrong, tracks) > 0.1


def test_masks_hide_whole_frames_and_bands() -> None:
    hidden = masked(torch.ones(64, 100, 128), draws()) == 0
    whole_frames, whole_bands = hidden.all(dim=2), hidden.all(dim=1)
    assert torch.equal(hidden, whole_frames[:, :, None] | whole_bands[:, None, :])
    assert 0 < hidden.float().mean() < 0.3
