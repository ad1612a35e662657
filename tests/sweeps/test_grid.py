"""From sweep cards to combinations and their requests."""

from __future__ import annotations

import math
from typing import Any

import pytest

from petl_bench.card_files import card_files, check, read_card
from petl_bench.errors import UserError
from petl_bench.settings import resolve_settings
from petl_bench.sweeps.card import SweepCard
from petl_bench.sweeps.grid import Options, Point, points, quick
from petl_bench.sweeps.search.target import targets


def card_of(**changes: Any) -> SweepCard:
    values: dict[str, Any] = {"title": "x", "benchmarks": ["synthetic"], "methods": ["conformer"], "grid": {}}
    return check(SweepCard, values | changes, "card")


def labels(**changes: Any) -> list[str]:
    return [point.label for point in points(card_of(**changes), Options())]


def test_a_grid_is_a_product_less_what_is_excluded_and_single_points_beside_it() -> None:
    grid = {"kernel_size": [1, 3], "norm": ["batch", "group"]}
    assert labels(grid=grid) == [f"kernel_size = {k}, norm = {norm}" for k in (1, 3) for norm in ("batch", "group")]
    assert labels(grid=grid, exclude=[{"kernel_size": [1, 3], "norm": "group"}]) == [
        "kernel_size = 1, norm = batch",
        "kernel_size = 3, norm = batch",
    ]
    assert labels(grid={"kernel_size": [1]}, point=[{"kernel_size": 1}, {"kernel_size": 9, "norm": "layer"}]) == [
        "kernel_size = 1",
        "kernel_size = 9, norm = layer",
    ]


def test_a_method_may_have_factors_of_its_own() -> None:
    grid = {"batch_size": [8], "conformer": {"placement": {"location": ["ffn", "mhsa"]}}, "lora": {"rank": [2]}}
    found = points(card_of(methods=["conformer", "lora"], grid=grid), Options())
    assert [(point.levels["method"], point.label) for point in found] == [
        ("conformer", "batch_size = 8, placement.location = ffn"),
        ("conformer", "batch_size = 8, placement.location = mhsa"),
        ("lora", "batch_size = 8, rank = 2"),
    ]


def recipe(point: Point) -> tuple[int, int, float]:
    training, method = point.choice.card.training, point.choice.methods[0]
    given = {} if point.request.lr is None else {"lr": point.request.lr}
    return training.batch_size, training.epochs, resolve_settings(method, "synthetic", "mini", given)[1].lr


def test_levels_reach_recipe_protocol_method_and_switches() -> None:
    levels = {
        "batch_size": [64],
        "micro_batch_size": [16],
        "validation": ["held_out"],
        "shots": [4],
        "lr": [0.1],
        "features.frames": [90],
        "switches.init": ["zero"],
        "precision": ["bf16"],
        "kernel_size": [5],
        "placement": {"layers": [[0, 2]]},
    }
    (point,) = points(card_of(grid=levels), Options())
    card, request = point.choice.card, point.request
    assert (card.training.batch_size, card.training.micro_batch_size, card.features.frames) == (64, 16, 90)
    assert (card.protocol.validation, card.protocol.shots) == ("held_out", 4)
    assert (request.precision, request.switches) == ("bf16", ("init=zero",))
    assert "conformer.placement.layers=[0, 2]" in request.settings
    assert "conformer.lr=0.1" in request.settings


def test_rules_make_epochs_and_learning_rate_of_the_batch_size() -> None:
    """The card has batch 32 and 20 epochs; lr 5e-3 is the method card's."""
    arms = {"epochs": {}, "steps": {"budget": "steps"}, "sqrt": {"lr_rule": "sqrt"}}
    found = points(card_of(grid={"batch_size": [8, 32]}, arms=arms), Options())
    recipes = {(point.levels["arm"], point.levels["batch_size"]): recipe(point) for point in found}
    assert recipes["epochs", 8] == (8, 20, 5e-3)
    assert recipes["steps", 8] == (8, 5, 5e-3)
    assert recipes["sqrt", 8] == (8, 20, pytest.approx(5e-3 * math.sqrt(8 / 32)))
    assert recipes["epochs", 32] == recipes["steps", 32] == recipes["sqrt", 32] == (32, 20, 5e-3)
    halved = points(card_of(grid={"batch_size": [8]}, arms={"steps": {"budget": "steps"}}), Options(epochs=8))
    assert recipe(halved[0])[1] == 2


def test_flags_come_before_the_card_and_quick_between_them() -> None:
    card = card_of(
        grid={"kernel_size": [1, 3, 8]},
        quick={"grid": {"kernel_size": [1]}, "epochs": 2, "folds": [1], "seeds": [0, 1], "backbone": "mini_random"},
    )
    (point,) = points(*quick(card, Options(epochs=3, backbone="mini")))
    request = point.request
    assert (request.epochs, request.folds, request.seeds, request.backbone) == (3, (1,), (0, 1), "mini")
    assert len(points(card, Options())) == 3


WRONG = {
    "setting": ({"grid": {"kernel_sise": [1]}}, r"conformer has no setting 'kernel_sise' \(did you mean 'kernel_size'"),
    "value": ({"grid": {"kernel_size": [0]}}, "kernel_size = 0"),
    "type": ({"grid": {"batch_size": ["many"]}}, "batch_size = 'many'"),
    "rule": ({"grid": {"budget": ["minutes"]}}, "budget = minutes: one of epochs, steps"),
    "switch": ({"grid": {"switches.inti": ["zero"]}}, "did you mean 'init'"),
    "method": ({"methods": ["conformr"]}, "did you mean 'conformer'"),
    "benchmark": ({"benchmarks": ["synthetics"]}, "did you mean 'synthetic'"),
    "no list": ({"grid": {"kernel_size": 3}}, "kernel_size = 3 is not a list of levels"),
    "empty": ({"grid": {"kernel_size": []}}, r"kernel_size = \[\] is not a list of levels"),
    "ordered": (
        {"grid": {"kernel_size": [1]}, "question": {"ordered": "kernel"}},
        "'kernel' is no factor of the study",
    ),
    "baseline": ({"question": {"baseline": {"norm": "batch"}}}, "'norm' is no factor"),
    "quick arm": ({"arms": {"a": {}}, "quick": {"arms": ["b"]}}, "no arm is called 'b'"),
    "baseline level": (
        {"grid": {"kernel_size": [1]}, "question": {"baseline": {"kernel_size": 9}}},
        r"kernel_size = 9 is none of its levels, \[1\]",
    ),
    "no numbers": ({"grid": {"norm": ["batch"]}, "question": {"ordered": "norm"}}, "levels of norm are no numbers"),
    "twice": ({"grid": {"kernel_size": [8, 8]}}, "kernel_size: 8 stands in it twice"),
    "seeds": ({"seeds": [0, 0]}, "seeds: 0 stands in it twice"),
    "point arm": ({"arms": {"a": {}}, "point": [{"arm": "b"}]}, "point: no arm is called 'b'; arms: a"),
    "arm factor": ({"grid": {"arm": ["a"]}}, "'arm' is no factor of its own"),
    "arm and grid": ({"grid": {"lr": [0.1]}, "arms": {"a": {"lr": 0.2}}}, "arms.a: 'lr' is a factor of the grid too"),
    "profile": ({"grid": {"profile": ["publishd"]}}, "profile = publishd: one of corrected, published"),
    "precision": ({"grid": {"precision": ["fp64"]}}, "precision = fp64: one of fp32, bf16"),
    "claim": ({"question": {"claim": {"levels": {"a": 1}, "points": 1, "source": "x"}}}, "question.claim: 'a' is no"),
    "exclude all": ({"exclude": [{}]}, "exclude: an empty table leaves nothing"),
    "nothing": ({"grid": {"kernel_size": [1]}, "exclude": [{"kernel_size": 1}]}, "no combination is left"),
    "table": ({"grid": {"kernel_size": [[{"a": 1}]]}}, "neither a number, a word nor a list"),
    "micro": ({"grid": {"micro_batch_size": [32]}}, "micro_batch_size = 32 is not below batch_size = 32"),
    "key": ({"questoin": {}}, "unknown key 'questoin' .did you mean 'question'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_study_with_a_mistake_is_one_clear_line(case: str) -> None:
    changes, message = WRONG[case]
    with pytest.raises(UserError, match=message) as error:
        points(card_of(**changes), Options())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", card_files("sweeps"))
def test_every_shipped_study_can_be_planned_without_data(name: str) -> None:
    card = read_card(card_files("sweeps")[name], SweepCard)
    if card.search is not None:
        every, small_ones = targets(card, Options()), targets(*quick(card, Options()))
        assert 0 < len(small_ones) <= len(every)
        return
    full, small = points(card, Options()), points(*quick(card, Options()))
    assert 0 < len(small) <= len(full)
    assert len({(str(point.levels)) for point in full}) == len(full)


def test_the_batch_size_study_separates_statistics_from_noise() -> None:
    card = read_card(card_files("sweeps")["batch_size"], SweepCard)
    found = points(card, Options())
    assert len(found) == 5 * 3 + 5 + 5 + 1
    (accumulated,) = [point for point in found if "micro_batch_size" in point.levels]
    training = accumulated.choice.card.training
    assert (training.batch_size, training.micro_batch_size) == (32, 16)


def test_a_point_belongs_to_the_method_and_benchmark_that_it_names() -> None:
    point = {"method": "lora", "rank": 3}
    found = points(card_of(methods=["conformer", "lora"], point=[point]), Options())
    assert [(p.levels["method"], p.label) for p in found] == [("conformer", ""), ("lora", ""), ("lora", "rank = 3")]


def test_a_point_may_be_a_nested_table() -> None:
    (_, single) = points(card_of(point=[{"placement": {"location": "mhsa"}}]), Options())
    assert single.label == "placement.location = mhsa"


def test_quick_changes_factors_of_single_methods_and_drops_points_of_other_arms() -> None:
    card = card_of(
        methods=["conformer", "lora"],
        grid={"lora": {"rank": [2, 4]}},
        arms={"a": {}, "b": {"epochs": 3}},
        point=[{"arm": "b", "lr": 0.1}],
        quick={"grid": {"lora": {"rank": [8]}}, "arms": ["a"]},
    )
    assert [point.label for point in points(*quick(card, Options()))] == ["a", "a, rank = 8"]


def test_no_shipped_study_runs_what_a_switch_cannot_change() -> None:
    card = read_card(card_files("sweeps")["defects"], SweepCard)
    arms = {(point.levels["method"], point.levels["arm"]) for point in points(card, Options())}
    assert ("lora", "LoRA scaled by the reduction rate") in arms
    assert ("conformer", "LoRA scaled by the reduction rate") not in arms
