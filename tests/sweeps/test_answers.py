"""What a study's page says, on scores whose differences are known."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import pytest

from petl_bench.card_files import check
from petl_bench.stats.engine import contrast
from petl_bench.stats.planning import SeedPlan, seed_plan
from petl_bench.stats.scores import RunScores, collect
from petl_bench.stats.trend import linear_trend
from petl_bench.sweeps.answers import Answer, Cell, answer, varying
from petl_bench.sweeps.card import Levels, SweepCard
from petl_bench.sweeps.sentences import sentences

CLIPS = 200


def cell(accuracy: float, /, easy: int = 0, **levels: Any) -> Cell:
    """Three seeds on each of three folds, right on about this share of the clips, mostly those that ``easy`` draws."""
    levels = {"benchmark": "esc10", "method": "conformer", **levels}
    runs = []
    for fold in (1, 2, 3):
        ease = np.random.default_rng(easy + fold).uniform(size=CLIPS)
        for seed in (0, 1, 2):
            noise = np.random.default_rng([fold, seed, crc32(str(levels).encode())]).normal(0, 0.05, CLIPS)
            right = (ease + noise < accuracy).astype(np.float64)
            ids = np.array([f"{fold}-{at}" for at in range(CLIPS)])
            runs.append(RunScores(fold, seed, ids, right))
    return Cell(levels, collect(str(levels), runs), (), 9)


def card_of(question: Levels, **changes: Any) -> SweepCard:
    grid = {"batch_size": [8, 16, 32], "norm": ["batch", "group"]}
    values: dict[str, Any] = {"title": "x", "benchmarks": ["esc10"], "methods": ["conformer"], "grid": grid}
    return check(SweepCard, {**values, "question": question, **changes}, "card")


def said(question: Levels, cells: list[Cell], **changes: Any) -> tuple[Answer, list[str]]:
    card = card_of(question, **changes)
    found = answer(card, cells)
    return found, sentences(card.question, found)


GRID = [
    cell(accuracy, batch_size=batch, norm=norm)
    for norm, accuracies in (("batch", (0.5, 0.6, 0.8)), ("group", (0.8, 0.8, 0.8)))
    for batch, accuracy in zip((8, 16, 32), accuracies, strict=True)
]


def test_every_cell_is_compared_with_the_baseline_of_its_stratum() -> None:
    found, _ = said({"baseline": {"batch_size": 32}}, GRID)
    pairs = [(d.where, d.cell.levels["batch_size"], d.baseline.levels["batch_size"]) for d in found.differences]
    assert pairs == [
        ("norm = batch", 8, 32), ("norm = batch", 16, 32), ("norm = group", 8, 32), ("norm = group", 16, 32),
    ]  # fmt: skip
    for difference in found.differences:
        expected = contrast([difference.cell.scores, difference.baseline.scores], [1, -1])
        assert difference.estimate == expected
        assert difference.holm_p >= difference.estimate.p_value  # type: ignore[operator]
    assert [str(d.verdict) for d in found.differences[:2]] == ["worse", "worse"]


def test_a_single_point_is_compared_with_the_baseline_of_what_it_shares() -> None:
    extra = cell(0.7, batch_size=32, norm="batch", micro_batch_size=16)
    point = {"batch_size": 32, "norm": "batch", "micro_batch_size": 16}
    found, lines = said({"baseline": {"batch_size": 32}, "ordered": "batch_size"}, [*GRID, extra], point=[point])
    assert lines[0].startswith("On esc10 with norm = batch: micro_batch_size 16 makes -")
    assert [(d.where, d.baseline.levels) for d in found.differences if d.cell is extra] == [
        ("norm = batch", GRID[2].levels)
    ]
    assert len(found.trends) == 2
    assert found.trends[0].slope == linear_trend([c.scores for c in GRID[:3]], [3, 4, 5])


def test_a_trend_is_per_doubling_and_says_its_power() -> None:
    found, lines = said({"ordered": "batch_size"}, GRID)
    slope = found.trends[0].slope.value
    means = [float(c.scores.seed_means.mean()) for c in GRID[:3]]
    assert slope == pytest.approx((means[2] - means[0]) / 2)
    assert f"On esc10 with norm = batch: {100 * slope:+.2f} points per doubling of batch_size" in lines[0]
    assert "a rise" in lines[0]
    assert "is found with 80% power" in lines[0]
    assert "no trend is shown" in lines[1]


def test_an_interaction_is_a_difference_of_differences() -> None:
    found, lines = said({"baseline": {"batch_size": 32}, "interaction": "norm"}, GRID)
    assert [(i.cell.levels["batch_size"], i.first, i.second) for i in found.interactions] == [
        (8, "batch", "group"),
        (16, "batch", "group"),
    ]
    four = [GRID[at].scores for at in (1, 2, 4, 5)]
    assert found.interactions[1].estimate == contrast(four, [1, -1, -1, 1])
    assert any("what batch_size 16 instead of 32 makes is" in line and "the effect differs" in line
               for line in lines)  # fmt: skip


@pytest.mark.parametrize(
    ("points", "words"), [(-20.0, "cannot rule out"), (-2.6, "larger than claimed"), (-60.0, "smaller than claimed")]
)
def test_a_claim_is_weighed_by_the_interval(points: float, words: str) -> None:
    claim = {"levels": {"batch_size": 16}, "points": points, "source": "somebody"}
    _, lines = said({"baseline": {"batch_size": 32}, "claim": claim}, GRID)
    assert lines[0].startswith("On esc10 with norm = batch: batch_size 16 instead of 32 makes -")
    assert words in lines[0]
    assert "(somebody)" in lines[0]


def test_no_significance_is_not_called_equality() -> None:
    same = [cell(0.7, batch_size=batch, norm="group") for batch in (8, 16, 32)]
    _, lines = said({"baseline": {"batch_size": 32}}, same)
    assert "none of 2 differences to the baseline is significant" in lines[-1]
    assert "inconclusive, not equal" in lines[-1]
    assert "More seeds" not in lines[-1]


def test_what_no_number_of_seeds_would_find_is_said() -> None:
    others = [cell(0.7, batch_size=batch, easy=7 * batch) for batch in (8, 16, 32)]
    found, lines = said({"baseline": {"batch_size": 32}}, others)
    floors = [100 * plan.floor() for d in found.differences if isinstance(plan := seed_plan(d.estimate), SeedPlan)]
    assert f"would not find less than {min(floors):.2f} to {max(floors):.2f} points" in lines[-1]


def test_a_missing_baseline_is_said() -> None:
    found, lines = said({"baseline": {"batch_size": 32}}, [GRID[0], GRID[1], *GRID[3:]])
    assert found.lacking == ("no baseline to compare with (norm = batch)",)
    assert {d.where for d in found.differences} == {"norm = group"}
    assert lines


def test_methods_are_a_factor_like_others() -> None:
    cells = [cell(0.8, method="conformer"), cell(0.5, method="lora")]
    found, lines = said({"baseline": {"method": "conformer"}}, cells, methods=["conformer", "lora"], grid={})
    assert varying(cells) == ["method"]
    assert [d.cell.levels["method"] for d in found.differences] == ["lora"]
    assert "method lora instead of conformer -" in lines[0]


def test_a_sentence_names_the_arm_even_where_there_is_one() -> None:
    cells = [cell(accuracy, arm="same steps", batch_size=batch) for batch, accuracy in ((8, 0.5), (16, 0.6), (32, 0.8))]
    question = {"baseline": {"batch_size": 32}, "ordered": "batch_size"}
    _, lines = said(question, cells, grid={"batch_size": [8, 16, 32]}, arms={"same steps": {}})
    assert lines[0].startswith("On esc10 with arm = same steps: ")


def test_an_optimum_is_claimed_only_where_the_score_turns() -> None:
    """A curve that rises and levels off bends, but does not turn."""
    for accuracies, words in (((0.3, 0.6, 0.65), "No optimum between the levels"), ((0.3, 0.8, 0.3), "an optimum")):
        cells = [cell(a, batch_size=batch, norm="batch") for a, batch in zip(accuracies, (8, 16, 32), strict=True)]
        _, lines = said({"ordered": "batch_size"}, cells)
        assert words in lines[0]


def test_identical_predictions_are_no_part_of_the_family() -> None:
    """A defect that a method does not have changes nothing: that is not a test among others."""
    same = [Cell({**GRID[2].levels, "batch_size": 8}, GRID[2].scores, (), 9), GRID[1], GRID[2]]
    found, lines = said({"baseline": {"batch_size": 32}}, same)
    identical, real = found.differences
    assert "identical" in str(identical.verdict)
    assert real.holm_p == real.estimate.p_value
    assert "1 of 1 differences" in lines[-1]


def test_a_method_is_compared_with_another_whatever_factors_each_has_alone() -> None:
    grid = {"conformer": {"kernel_size": [1, 8]}, "lora": {"rank": [2]}}
    cells = [
        cell(0.6, method="conformer", kernel_size=1),
        cell(0.8, method="conformer", kernel_size=8),
        cell(0.5, method="lora", rank=2),
    ]
    question = {"baseline": {"method": "conformer", "kernel_size": 8}}
    found, _ = said(question, cells, methods=["conformer", "lora"], grid=grid)
    assert [d.cell for d in found.differences] == [cells[0], cells[2]]
    assert not found.lacking


def test_a_claim_is_weighed_only_where_it_was_made() -> None:
    claim = {"levels": {"batch_size": 16}, "where": {"norm": "group"}, "points": 1.0, "source": "x"}
    _, lines = said({"baseline": {"batch_size": 32}, "claim": claim}, GRID)
    assert sum("were claimed" in line for line in lines) == 1
    assert "norm = group" in lines[0]
