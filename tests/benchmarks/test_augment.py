"""SpecAugment: per clip, whatever the batch, with torchaudio's distribution of masks."""

from __future__ import annotations

import numpy as np
import torch
import torchaudio

from petl_bench.benchmarks.augment import clip_numbers, mask
from petl_bench.cards import Augment

BOTH = Augment(frequency_mask=24, time_mask=80)
CLIPS = clip_numbers(np.array([f"clip-{number}" for number in range(1_500)]))


def masked(clips: np.ndarray, stream: int = 7, augment: Augment = BOTH) -> torch.Tensor:
    return mask(torch.ones(len(clips), 500, 128), clips, stream, augment) == 0


def widths(found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Masked frames and bins of every clip."""
    return found.all(dim=2).sum(dim=1), found.all(dim=1).sum(dim=1)


def test_a_clips_masks_do_not_depend_on_its_batch() -> None:
    together = masked(CLIPS[:8])
    assert torch.equal(masked(CLIPS[5:6])[0], together[5])
    assert torch.equal(masked(CLIPS[:8][::-1].copy()).flip(0), together)


def test_another_epoch_or_clip_has_other_masks() -> None:
    assert not torch.equal(masked(CLIPS[:8], stream=7), masked(CLIPS[:8], stream=8))
    assert len({tuple(row.tolist()) for row in torch.stack(widths(masked(CLIPS[:50])), dim=1)}) > 40


def test_a_mask_is_one_band_and_one_stretch() -> None:
    for found in masked(CLIPS[:20]):
        frames, bins = found.all(dim=1), found.all(dim=0)
        for line in (frames, bins):
            assert (line.int().diff() == 1).sum() + int(line[0]) <= 1
        assert torch.equal(found, frames[:, None] | bins[None, :])


def test_masks_are_distributed_as_torchaudios() -> None:
    torch.manual_seed(0)
    ones = torch.ones(len(CLIPS), 1, 128, 500)
    theirs = torchaudio.transforms.TimeMasking(80, iid_masks=True)(
        torchaudio.transforms.FrequencyMasking(24, iid_masks=True)(ones)
    )
    theirs = (theirs[:, 0] == 0).transpose(1, 2)
    ours = masked(CLIPS)
    for mine, other in zip(widths(ours), widths(theirs), strict=True):
        for statistic in (torch.mean, torch.std):
            torch.testing.assert_close(statistic(mine.float()), statistic(other.float()), rtol=0.08, atol=0)
        assert mine.max() <= other.max() + 1
    for axis in (1, 2):
        place, other = ours.float().mean(dim=(0, axis)), theirs.float().mean(dim=(0, axis))
        torch.testing.assert_close(place, other, atol=0.03, rtol=0)


def test_off_masks_nothing() -> None:
    assert not masked(CLIPS[:50], augment=Augment()).any()
    time_only = masked(CLIPS[:50], augment=Augment(time_mask=80))
    assert not time_only.all(dim=1).any()
