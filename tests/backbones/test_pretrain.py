"""The pretraining recipe: deterministic, resumable bit for bit, any length; what it writes is a backbone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from petl_bench.backbones.pretrain import Recipe, Run, pretrain, take_pairs
from petl_bench.backbones.pretraining.draws import Draws
from petl_bench.backbones.pretraining.objective import contrast, masked
from petl_bench.backbones.pretraining.programs import (
    SEGMENTS,
    Programs,
    another_take,
    confusable,
    draw_programs,
)
from petl_bench.backbones.pretraining.synthesis import TRACKS, render
from petl_bench.backbones.resolve import resolve
from petl_bench.errors import UserError

CPU = torch.device("cpu")
TINY = Recipe(steps=20, seed=3, hidden_size=32, layers=1, heads=2, batches=((48, 8), (112, 4)), calibration=((48, 8),))


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
    run = Run(replace(TINY, steps=30, warmup=5, lr=3e-3, batches=((48, 16),)), CPU)
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
    run = Run(TINY, CPU)
    model = run.backbone()
    before = run.network.model.layernorm.weight.clone()
    assert not torch.equal(before, model.layernorm.weight)
    assert torch.equal(before, run.network.model.layernorm.weight)


def test_a_finished_run_is_not_overwritten_nor_resumed_with_another_recipe(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pretraining run to resume"):
        pretrain(TINY, tmp_path, CPU, resume=True)
    pretrain(replace(TINY, steps=1), tmp_path, CPU)
    with pytest.raises(UserError, match="--resume"):
        pretrain(replace(TINY, steps=1), tmp_path, CPU)
    with pytest.raises(UserError, match="begun with steps 1, not 20"):
        pretrain(TINY, tmp_path, CPU, resume=True)


@pytest.mark.parametrize("frames", [100, 208, 512])
def test_sounds_are_finite_batched_and_determined_by_the_seed(frames: int) -> None:
    def sounds(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        stream = draws(seed)
        return render(draw_programs(stream, 12, 0.5, frames / 100), stream, frames)

    features, targets = sounds(0)
    assert features.shape == (12, frames, 128)
    assert targets.shape == (12, frames, len(TRACKS))
    assert features.isfinite().all()
    assert targets.isfinite().all()
    assert torch.equal(features, sounds(0)[0])
    assert not torch.equal(features, sounds(1)[0])


def test_confusable_programs_keep_the_parts_and_change_what_happens_when() -> None:
    programs = draw_programs(draws(), 32, 1.0, 1.0)
    parts = confusable(programs, draws(1), 1.0)
    assert len(parts) == 4 * 32
    itself, backwards, replaced, shuffled = (parts.take(torch.arange(32) + 32 * part) for part in range(4))

    def contents(some: Programs) -> torch.Tensor:
        used = (some.durations > 0)[:, :, None, None]
        return (some.segments * used).sum(dim=(1, 2))

    assert torch.equal(itself.segments, programs.segments)
    for variant in (backwards, shuffled):
        torch.testing.assert_close(contents(variant), contents(programs), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(variant.durations.sum(dim=1), programs.durations.sum(dim=1))
    different = (replaced.segments != programs.segments).any(dim=3).any(dim=2).sum(dim=1)
    assert torch.equal(different, torch.ones_like(different))
    assert programs.segments.shape[1] == SEGMENTS


def test_takes_of_a_sound_differ_but_stay_silent_where_it_is_silent() -> None:
    programs = draw_programs(draws(), 64, 0.5, 1.0)
    take = another_take(programs, draws(1))
    assert not torch.equal(take.traits, programs.traits)
    levels, before = take.segments[..., 1:3], programs.segments[..., 1:3]
    assert (levels[before == 0] == 0).all()
    assert (levels >= 0).all()


def test_contrast_is_low_when_takes_agree_and_chance_when_all_are_alike() -> None:
    apart = torch.eye(16)
    assert contrast(torch.cat([apart, apart])) < 0.01
    assert contrast(torch.ones(32, 16)).item() == pytest.approx(torch.tensor(31.0).log().item(), abs=1e-4)


def test_masks_hide_whole_frames_and_bands() -> None:
    hidden = masked(torch.ones(64, 100, 128), draws()) == 0
    whole_frames, whole_bands = hidden.all(dim=2), hidden.all(dim=1)
    assert torch.equal(hidden, whole_frames[:, :, None] | whole_bands[:, None, :])
    assert 0 < hidden.float().mean() < 0.3


def test_pairs_are_two_takes_of_the_same_sounds() -> None:
    features, targets = take_pairs(TINY, 0, CPU)
    assert features.shape == (16, 48, 128)
    assert targets.shape == (16, 48, len(TRACKS))
    assert not torch.equal(features[0], features[8])
