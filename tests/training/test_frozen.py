"""Frozen states: what untouched layers make of a clip is computed once, and the numbers are those of the whole model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from petl_bench.backbones.base import Backbone
from petl_bench.errors import DamagedCacheError
from petl_bench.execution import Execution
from petl_bench.locations import cache_folder
from petl_bench.plan import PlannedRun
from petl_bench.training import state_tables
from petl_bench.training.frozen import logits_of_pooled, plain_final_norm, pooled_states
from petl_bench.training.run import attached, train_run
from petl_bench.workbench import Workbench
from tests.studies import TINY, Command, plan_of

LAST_TWO = ("conformer.placement.layers=last:2",)
WHOLE = Execution(frozen_states=False)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    shutil.rmtree(cache_folder() / "states", ignore_errors=True)  # other tests' too
    yield
    shutil.rmtree(cache_folder() / "states", ignore_errors=True)


def attach(method: str, *settings: str) -> tuple[PlannedRun, Workbench, Backbone]:
    plan, workbench = plan_of(replace(TINY, methods=(method,), settings=settings))
    backbone = workbench.backbone(plan[0].spec)
    attached(plan[0], backbone)
    return plan[0], workbench, backbone


@pytest.mark.parametrize(
    ("method", "settings", "layers"),
    [
        ("linear", (), 6),
        ("conformer", LAST_TWO, 4),
        ("conformer", ("conformer.placement.layers=[2, 4]",), 2),
        ("conformer", (), 0),
        ("lora", ("lora.layers=last:1",), 5),
        ("prefix", (), 0),
        ("prompt_shallow", (), 0),
        ("bitfit", (), 0),
        ("full", (), 0),
    ],
)
def test_layers_below_the_first_touched_one(method: str, settings: tuple[str, ...], layers: int) -> None:
    _, workbench, backbone = attach(method, *settings)
    assert workbench.untouched_layers(backbone) == layers


def test_dropout_makes_no_layer_repeat_itself() -> None:
    _, workbench, backbone = attach("linear")
    backbone.model.config.hidden_dropout_prob = 0.1
    assert workbench.untouched_layers(backbone) == 0


@pytest.mark.parametrize("layers", range(7))
def test_the_model_in_two_parts_is_the_model(layers: int) -> None:
    _, _, backbone = attach("conformer")
    features = torch.randn(3, 100, 128, generator=torch.Generator().manual_seed(0))
    for mode in (backbone.eval, backbone.train):
        mode()
        with torch.no_grad():
            parts = backbone.from_hidden(backbone.hidden(features, layers), layers)
            assert torch.equal(parts, backbone.tokens(features))


@pytest.mark.parametrize("pooling", ["mean", "cls", "cls+dist"])
def test_the_norms_affine_part_commutes_with_the_mean(pooling: str) -> None:
    _, _, backbone = attach("linear", f"linear.pooling={pooling}")
    norm = plain_final_norm(backbone)
    assert norm is not None
    features = torch.randn(5, 100, 128, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(5)
    found = []
    for pooled in (True, False):
        backbone.zero_grad()
        if pooled:
            with torch.no_grad():
                states = pooled_states(backbone, backbone.hidden(features, 6), norm)
            logits = logits_of_pooled(backbone, states, norm)
        else:
            logits = backbone(features)
        torch.nn.functional.cross_entropy(logits, targets).backward()
        found.append([logits, *(parameter.grad for parameter in backbone.trained_parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "settings", "frozen_layers"),
    [
        ("linear", (), 6),
        ("linear", ("synthetic.augment.time_mask=20",), 6),
        ("conformer", LAST_TWO, 4),
        ("conformer", (*LAST_TWO, "synthetic.augment.time_mask=20"), 4),
        ("conformer_gated", ("conformer_gated.placement.layers=last:1",), 5),
        ("bottleneck", ("bottleneck.placement.layers=last:1", "bottleneck.pooling=cls"), 5),
        ("lora", ("lora.layers=last:1",), 5),
    ],
)
def test_a_run_from_frozen_states_is_the_run(method: str, settings: tuple[str, ...], frozen_layers: int) -> None:
    plan, workbench = plan_of(replace(TINY, methods=(method,), epochs=2, limit=1, settings=settings))
    kept, whole = train_run(plan[0], workbench), train_run(plan[0], workbench, execution=WHOLE)
    assert kept.record.meta_info.system_info["frozen_layers"] == frozen_layers
    assert "frozen_layers" not in whole.record.meta_info.system_info
    assert kept.record.run_info.run_key == whole.record.run_info.run_key
    for one, other in zip(kept.epochs, whole.epochs, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
    np.testing.assert_allclose(kept.predictions.test_logits, whole.predictions.test_logits, atol=1e-4)
    assert len(list((cache_folder() / "states").glob("*.npy"))) == 1


def test_states_can_be_left_unused(command: Command) -> None:
    arguments = "run --methods linear --dataset synthetic --epochs 1 --limit 1 --folds 1 --executor in_process"
    assert command(*arguments.split(), "--no-frozen-states")[0] == 0
    assert not (cache_folder() / "states").exists()


def test_states_are_made_once_for_all_folds_seeds_and_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    make = state_tables._make
    monkeypatch.setattr(state_tables, "_make", lambda path, *rest: (made.append(path), make(path, *rest)))
    for request in (TINY, replace(TINY, seeds=(1,)), replace(TINY, folds=(2,)), replace(TINY, lr=0.1)):
        plan, workbench = plan_of(replace(request, methods=("linear",)))
        train_run(plan[0], workbench)
    assert len(made) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bf16"},
        {"settings": ("synthetic.features.frames=90",)},
        {"settings": ("synthetic.features.std=3",)},
        {"settings": ("linear.pooling=cls",)},
        {"switches": ("position_embeddings=zeros",)},
        {"limit": 3},
    ],
)
def test_what_changes_the_states_has_a_table_of_its_own(change: dict[str, object]) -> None:
    for request in (TINY, replace(TINY, **change)):  # type: ignore[arg-type]
        plan, workbench = plan_of(replace(request, methods=("linear",)))
        train_run(plan[0], workbench)
    assert len(list((cache_folder() / "states").glob("*.npy"))) == 2


def test_without_room_or_a_cache_the_whole_model_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_tables, "SHARE_OF_DISK", 0.0)
    plan, workbench = plan_of(replace(TINY, methods=("linear",)))
    run = train_run(plan[0], workbench)
    assert "frozen_layers" not in run.record.meta_info.system_info


def test_the_longest_unused_tables_make_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    for age, name in enumerate(("new", "old", "older")):
        (folder / f"{name}.npy").write_bytes(bytes(1000))
        os.utime(folder / f"{name}.npy", (1e9 - age, 1e9 - age))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4 * 3500 - 3000))
    assert state_tables._make_room(folder / "wanted.npy", 1000)
    assert sorted(path.name for path in folder.iterdir()) == ["new.npy", "old.npy"]
    assert not state_tables._make_room(folder / "wanted.npy", 10_000)
    assert len(list(folder.iterdir())) == 2


def test_a_damaged_table_is_no_other_result() -> None:
    plan, workbench = plan_of(replace(TINY, methods=("linear",)))
    first = train_run(plan[0], workbench)
    (path,) = (cache_folder() / "states").glob("*.npy")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    _, another = plan_of(replace(TINY, methods=("linear",)))  # as another process has it
    with pytest.raises(DamagedCacheError, match="the same command makes it anew"):
        train_run(plan[0], another)
    again = train_run(plan[0], another)
    assert np.array_equal(first.predictions.test_logits, again.predictions.test_logits)
