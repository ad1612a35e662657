"""Run keys: stable, blind to what cannot change numbers, and sensitive to all else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from petl_bench.canonical import Introduced, canonical, digest, unkeyed_fields
from petl_bench.cards import Augment, Features, Optimizer, Protocol
from petl_bench.runspec import DataSpec, MethodSpec, RunSpec, TrainingSpec
from petl_bench.switches import Switches
from tests.studies import TINY, plan_of


def spec(**changes: Any) -> RunSpec:
    """A spec of fixed values."""
    values: dict[str, Any] = {
        "backbone": "0123456789abcdef",
        "method": MethodSpec(
            implementation="conformer", numerics_version=1, hyperparameters={"reduction_rate": 96, "kernel_size": 8}
        ),
        "data": DataSpec(
            fingerprint="fedcba9876543210",
            class_count=50,
            metric="accuracy",
            protocol=Protocol(folds=5, validation="previous_fold"),
            features=Features(frames=500),
            augment=Augment(frequency_mask=24, time_mask=80),
        ),
        "training": TrainingSpec(optimizer=Optimizer(lr=5e-3), epochs=50, batch_size=32),
        "switches": Switches(),
        "fold": 1,
        "seed": 0,
    }
    return RunSpec(**(values | changes))


def test_frozen_keys() -> None:
    """Keys of records that exist. If this fails, finished runs would be trained again."""
    assert (spec().run_key(), spec().config_key()) == ("4a2b5a362b2555d8", "eb564724d78d6b3c")
    assert spec(fold=5, seed=2).run_key() == "f8aa81cdd4d120e4"


def test_a_spec_survives_json() -> None:
    again = RunSpec.model_validate_json(spec().model_dump_json())
    assert again == spec()
    assert again.run_key() == spec().run_key()


def test_fold_and_seed_change_the_run_but_not_the_config() -> None:
    for changed in (spec(fold=2), spec(seed=1)):
        assert changed.run_key() != spec().run_key()
        assert changed.config_key() == spec().config_key()


CHANGES = {
    "backbone": {"backbone": "0" * 16},
    "source": {"method": spec().method.model_copy(update={"source": "sha256:1"})},
    "method version": {"method": spec().method.model_copy(update={"numerics_version": 2})},
    "data": {"data": spec().data.model_copy(update={"fingerprint": "0"})},
    "split": {"data": spec().data.model_copy(update={"protocol": Protocol(folds=5, validation="held_out")})},
    "epochs": {"training": spec().training.model_copy(update={"epochs": 49})},
    "precision": {"training": spec().training.model_copy(update={"precision": "bf16"})},
    "switch": {"switches": Switches(checkpoint="last")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_the_experiment_changes_both_keys(change: dict[str, Any]) -> None:
    assert spec(**change).run_key() != spec().run_key()
    assert spec(**change).config_key() != spec().config_key()


def test_a_field_at_its_introduction_value_is_left_out_of_the_keys() -> None:
    class Config(BaseModel):
        rank: int = 6

    class Later(Config):
        norm: Annotated[str, Introduced("batch")] = "group"

    assert digest(Later(norm="batch")) == digest(Config())
    assert digest(Later()) != digest(Config())
    assert canonical(Later(norm="batch")) == {"rank": 6}

    class Nested(BaseModel):
        inner: Later = Later(norm="batch")

    assert unkeyed_fields(Nested()) == ("inner.norm",)
    assert canonical(Nested()) == {"inner": {"rank": 6}}
    nested = MethodSpec(
        implementation="x",
        numerics_version=1,
        hyperparameters=Nested().model_dump(),
        unkeyed=unkeyed_fields(Nested()),
    )
    before = nested.model_copy(update={"hyperparameters": {"inner": {"rank": 6}}, "unkeyed": ()})
    assert spec(method=nested).run_key() == spec(method=before).run_key()

    later = spec().method.model_copy(
        update={"hyperparameters": {**spec().method.hyperparameters, "norm": "batch"}, "unkeyed": ("norm",)}
    )
    assert spec(method=later).run_key() == spec().run_key()


def test_names_order_and_places_are_no_part_of_the_keys(tmp_path: Path) -> None:
    request = replace(TINY, methods=("linear", "lora"), settings=("lora.targets=['v','q']",))
    keys = {run.method: run.key for run in plan_of(request)[0]}
    reordered = replace(request, methods=("lora", "linear"), settings=())
    assert {run.method: run.key for run in plan_of(reordered)[0]} == keys

    card = tmp_path / "another_name.toml"
    card.write_text('implementation = "lora"\ntitle = "x"\n[hyperparameters]\nrank = 6\n')
    (run,) = plan_of(replace(TINY, methods=(str(card),)))[0]
    assert run.method == "another_name"
    assert run.key == keys["lora"]


def test_what_a_clip_costs_is_blind_to_clips_and_recipe_but_not_to_sizes_and_switches() -> None:
    assert spec().cost_key() == "d6e27268b4ffc25c"
    same = [
        spec(fold=2, seed=1),
        spec(data=spec().data.model_copy(update={"fingerprint": "0"})),
        spec(training=spec().training.model_copy(update={"batch_size": 4, "epochs": 1})),
    ]
    assert {other.cost_key() for other in same} == {spec().cost_key()}
    features = {"features": Features(frames=501)}
    others = [
        spec(backbone="0" * 16),
        spec(data=spec().data.model_copy(update=features)),
        spec(data=spec().data.model_copy(update={"class_count": 51})),
        spec(training=spec().training.model_copy(update={"precision": "bf16"})),
        spec(switches=Switches(train_norms=False)),
        spec(method=spec().method.model_copy(update={"hyperparameters": {"reduction_rate": 48}})),
    ]
    assert len({other.cost_key() for other in [spec(), *others]}) == 1 + len(others)
