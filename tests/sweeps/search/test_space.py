"""From dimensions of cards to what Optuna samples, and back."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from petl_bench.card_files import check
from petl_bench.cards import MethodCard
from petl_bench.errors import UserError
from petl_bench.sweeps.card import SweepCard
from petl_bench.sweeps.search.space import Space, show_dimension, space_of


def method_card(**tables: Any) -> MethodCard:
    return check(MethodCard, {"implementation": "lora", "title": "x", **tables}, "card")


def sweep_card(**space: Any) -> SweepCard:
    card = {"title": "x", "benchmarks": ["synthetic"], "methods": ["lora"], "search": {"space": space}}
    return check(SweepCard, card, "card")


def space(**dimensions: Any) -> Space:
    return space_of(sweep_card(**dimensions), "lora", method_card(), "synthetic", "mini")


def test_lists_keep_their_meaning_on_the_way_through_optuna() -> None:
    found = space(targets={"choices": [["q"], ["q", "v"]]}, rank={"choices": [2, 4]}, layers={"choices": ["all"]})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = [found.levels(study.ask(found.distributions).params) for _ in range(20)]
    assert {str(levels["targets"]) for levels in seen} == {"['q']", "['q', 'v']"}
    assert {levels["rank"] for levels in seen} == {2, 4}


def test_a_range_is_whole_where_its_step_is() -> None:
    found = space(kernel={"low": 1, "high": 7, "step": 2}, rate={"low": 0, "high": 1, "step": 0.25}, lr={"low": 1e-4, "high": 1e-2, "log": True})  # fmt: skip
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = [study.ask(found.distributions).params for _ in range(100)]
    assert {type(values["kernel"]) for values in seen} == {int}
    assert {values["kernel"] for values in seen} == {1, 3, 5, 7}
    assert {values["rate"] for values in seen} == {0, 0.25, 0.5, 0.75, 1}
    assert all(1e-4 <= values["lr"] <= 1e-2 for values in seen)
    assert sum(values["lr"] < 1e-3 for values in seen) > 30
    assert [show_dimension(found.dimensions[name]) for name in ("kernel", "lr")] == [
        "1 to 7 in steps of 2", "0.0001 to 0.01 (log)"
    ]  # fmt: skip
    assert found.ends("kernel") == [1, 7]


def test_a_logarithmic_range_of_whole_numbers_has_the_step_1() -> None:
    found = space(rank={"low": 1, "high": 64, "log": True, "step": 1})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = [study.ask(found.distributions).params["rank"] for _ in range(200)]
    assert {type(rank) for rank in seen} == {int}
    assert 60 < sum(rank <= 8 for rank in seen) < 140


def test_a_sweep_card_comes_before_a_method_card_and_there_a_benchmark_before_a_backbone() -> None:
    card = method_card(
        search_space={name: {"choices": [1]} for name in ("a", "b", "c", "d")},
        search_space_for={
            "mini": {name: {"choices": [2]} for name in ("b", "c", "d")},
            "synthetic": {name: {"choices": [3]} for name in ("c", "d")},
        },
    )
    found = space_of(sweep_card(d={"choices": [4]}), "lora", card, "synthetic", "mini").dimensions
    assert {name: dimension.choices for name, dimension in found.items()} == {
        "a": (1,),
        "b": (2,),
        "c": (3,),
        "d": (4,),
    }


def test_a_table_named_after_a_method_is_for_it_alone() -> None:
    card = check(SweepCard, {
        "title": "x", "benchmarks": ["synthetic"], "methods": ["lora", "conformer"],
        "search": {"space": {"placement": {"form": {"choices": ["parallel"]}}, "lora": {"rank": {"choices": [4]}}}},
    }, "card")  # fmt: skip
    assert card.space_of("lora").keys() == {"placement.form", "rank"}
    assert card.space_of("conformer").keys() == {"placement.form"}


def test_a_method_that_is_given_by_its_path_may_have_a_table() -> None:
    card = check(SweepCard, {
        "title": "x", "benchmarks": ["synthetic"], "methods": ["./mine.toml"],
        "search": {"space": {"lr": {"choices": [1]}, "mine": {"rank": {"choices": [4]}}}},
    }, "card")  # fmt: skip
    assert card.space_of("mine").keys() == {"lr", "rank"}


def test_a_grid_holds_every_combination() -> None:
    found = space(a={"choices": [1, 2]}, b={"low": 0, "high": 1, "step": 0.5}, c={"choices": [["q"]]})
    assert found.every() == [{"a": a, "b": b, "c": '["q"]'} for a in (1, 2) for b in (0.0, 0.5, 1.0)]
    with pytest.raises(UserError, match="lr is a range .0.1 to 1.: give it choices or a step"):
        space(lr={"low": 0.1, "high": 1}).every()
    with pytest.raises(UserError, match="lr has 600,000,001 steps: at most 10,000"):
        space(lr={"low": 0.1, "high": 0.7, "step": 1e-9}).every()
    assert [values["lr"] for values in space(lr={"low": 0.1, "high": 0.7, "step": 0.1}).every()][-1] == 0.7


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"space": {"backbone": {"choices": ["mini"]}}}, "'backbone' is no dimension"),
        ({"space": {"lr": {"choices": [{}]}}}, "neither a number, a word nor a list of these"),
        ({"space": {"lr": {"choices": [1, 1]}}}, "1 stands in it twice"),
        ({"space": {"lr": {"low": 1, "high": 2, "log": True, "step": 0.5}}}, "1 for a logarithmic one"),
        ({"space": {"lr": {"low": 4, "high": 9, "step": 2}}}, "step = 2.0 does not lead from low = 4.0 to high = 9.0"),
        ({"sampler": "nsga2", "pruner": "epoch:median"}, "two objectives"),
        ({"pruner": "median"}, "epoch:median"),
        ({"tuning_seeds": [2]}, "2 is one of search.tuning_seeds"),
    ],
)
def test_what_a_search_cannot_be(search: dict[str, Any], message: str) -> None:
    card = {"title": "x", "benchmarks": ["synthetic"], "methods": ["lora"], "search": search}
    with pytest.raises(UserError, match=message):
        check(SweepCard, card, "card")


def test_a_method_without_a_space_cannot_be_searched() -> None:
    with pytest.raises(UserError, match="lora has no search space"):
        space()
