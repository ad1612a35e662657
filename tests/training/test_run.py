"""One run: seeded bit for bit, tested at its best validation epoch, and on record with what was trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from petl_bench.metrics import evaluate
from petl_bench.records import FinishedRun
from petl_bench.registry import METHODS
from petl_bench.runspec import RunSpec
from petl_bench.switches import Switches
from petl_bench.training.inputs import Inputs
from petl_bench.training.model import Model
from petl_bench.training.run import fit, seeded, train_run
from petl_bench.training.session import Session, Silence
from petl_bench.workbench import Workbench
from tests.studies import TINY, plan_of, train

METHODS_TRAINED = ["linear", "full", "lora", "conformer"]


def numbers_of(run: FinishedRun) -> list[tuple[float, float]]:
    return [(epoch["train_loss"], epoch["validation_loss"]) for epoch in run.epochs]


@pytest.mark.parametrize("method", METHODS_TRAINED)
def test_the_same_seed_gives_the_same_bits(method: str) -> None:
    torch.manual_seed(1)
    first = train(methods=(method,), epochs=2, limit=1)
    torch.manual_seed(2)
    second = train(methods=(method,), epochs=2, limit=1)
    assert numbers_of(first) == numbers_of(second)
    assert np.array_equal(first.predictions.test_logits, second.predictions.test_logits)
    assert np.array_equal(first.predictions.validation_logits, second.predictions.validation_logits)


def test_a_run_does_not_depend_on_the_runs_before_it() -> None:
    """One resident backbone serves full fine-tuning, then LoRA: as if LoRA had come alone."""
    plan, workbench = plan_of(replace(TINY, methods=("full", "lora")))
    runs = [train_run(planned, workbench) for planned in plan]
    alone = train(methods=("lora",))
    assert np.array_equal(runs[1].predictions.test_logits, alone.predictions.test_logits)


def test_a_run_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train(methods=("conformer",))
    assert torch.equal(torch.rand(1), expected)


def initial_weights(spec: RunSpec, workbench: Workbench) -> dict[str, torch.Tensor]:
    backbone = workbench.backbone(spec)
    method = METHODS.load(spec.method.implementation).cls
    with seeded(spec, "initialisation"):
        method(method.Config()).attach(backbone)
    with seeded(spec, "head"):
        backbone.add_head(10)
    weights = {name: tensor for name, tensor in backbone.trained_state().items() if "norm" not in name}
    backbone.detach()
    return weights


def test_seeds_and_folds_have_their_own_initialisation_and_batches() -> None:
    plan, workbench = plan_of(replace(TINY, methods=("lora",), seeds=(0, 1), folds=(1, 2)))
    specs = [planned.spec for planned in plan]
    weights = [initial_weights(spec, workbench) for spec in specs]
    for first in range(len(specs)):
        for second in range(first):
            assert not torch.equal(weights[first]["head.weight"], weights[second]["head.weight"])
            name = "attachments.layer0_q_lora.down"
            assert not torch.equal(weights[first][name], weights[second][name])
    orders = {spec.streams.derive("batches", epoch) for spec in specs for epoch in (1, 2)}
    assert len(orders) == 2 * len(specs)


def test_methods_with_one_seed_share_the_head_and_the_batches() -> None:
    plan, workbench = plan_of(replace(TINY, methods=("linear", "lora")))
    first, second = (planned.spec for planned in plan)
    head, other = (initial_weights(spec, workbench)["head.weight"] for spec in (first, second))
    assert torch.equal(head, other)
    assert first.streams == second.streams


def test_the_best_validation_epoch_is_restored_and_tested() -> None:
    """A learning rate that ruins later epochs: the tested logits are the best epoch's, not the last one's."""
    run = train(methods=("linear",), epochs=6, limit=4, lr=3.0, backbone="mini_random")
    accuracies = [epoch["validation_accuracy"] for epoch in run.epochs]
    losses = [epoch["validation_loss"] for epoch in run.epochs]
    best = max(range(6), key=lambda index: (accuracies[index], -losses[index]))
    info = run.record.train_info
    assert info.tested_epoch == info.best_epoch == best + 1 < 6
    assert info.metrics["validation"]["accuracy"] == accuracies[best]
    assert info.metrics["validation"]["loss"] == losses[best]
    assert evaluate(run.predictions.test_logits, run.predictions.test_targets) == info.metrics["test"]


def test_test_logits_are_those_of_the_restored_epoch() -> None:
    """Trained again by hand: the logits of the test clips, one by one, from the best epoch's weights."""
    plan, workbench = plan_of(replace(TINY, methods=("conformer",), epochs=4))
    run = train_run(plan[0], workbench)
    spec = plan[0].spec
    backbone, split = workbench.backbone(spec), workbench.split(spec)
    inputs = Inputs(spec, workbench, split)
    cls = METHODS.load("conformer").cls
    with seeded(spec, "initialisation"):
        cls(cls.Config.model_validate(spec.method.hyperparameters)).attach(backbone)
    with seeded(spec, "head"):
        backbone.add_head(10)
    progress = fit(Model(spec, backbone, inputs), split, Session(Silence()))
    backbone.restore(progress.best.state)
    backbone.eval()
    with torch.no_grad():
        one_by_one = torch.cat([backbone(inputs.features(np.array([index]))) for index in split.test])
    np.testing.assert_allclose(run.predictions.test_logits, one_by_one.numpy(), atol=1e-4)
    assert run.predictions.test_ids.tolist() == [workbench.dataset.clips[index].id for index in split.test]


def test_position_embeddings_follow_the_switch() -> None:
    plan, workbench = plan_of(TINY)
    spec = plan[0].spec
    zeros = spec.model_copy(update={"switches": Switches(position_embeddings="zeros")})
    assert workbench.backbone(spec).get_parameter("model.embeddings.position_embeddings").abs().sum() > 0
    assert workbench.backbone(zeros).get_parameter("model.embeddings.position_embeddings").abs().sum() == 0


def test_the_last_epoch_is_tested_where_the_switch_says_so() -> None:
    plan, workbench = plan_of(replace(TINY, epochs=6, limit=4, lr=3.0))
    planned = plan[0]
    last = replace(planned, spec=planned.spec.model_copy(update={"switches": Switches(checkpoint="last")}))
    run = train_run(last, workbench)
    assert run.record.train_info.tested_epoch == 6
    assert run.record.train_info.metrics["validation"]["loss"] == run.epochs[-1]["validation_loss"]


def test_predictions_belong_to_their_clips() -> None:
    plan, workbench = plan_of(TINY)
    run = train_run(plan[0], workbench)
    clips = {clip.id: clip for clip in workbench.dataset.clips}
    predictions, names = run.predictions, workbench.dataset.class_names
    assert {clips[name].fold for name in predictions.test_ids} == {1}
    assert {clips[name].fold for name in predictions.validation_ids} == {5}
    assert [names[target] for target in predictions.test_targets] == [clips[n].label for n in predictions.test_ids]
    assert [clips[name].group for name in predictions.test_ids] == list(predictions.test_groups)
    assert predictions.test_logits.shape == (20, 10)
    assert predictions.test_logits.dtype == np.float32


def test_logits_do_not_depend_on_the_clips_beside_them() -> None:
    plan, workbench = plan_of(replace(TINY, methods=("conformer",)))
    spec = plan[0].spec
    backbone, inputs = workbench.backbone(spec), Inputs(spec, workbench, workbench.split(spec))
    METHODS.load("conformer").cls(METHODS.load("conformer").cls.Config()).attach(backbone)
    backbone.add_head(10)
    model = Model(spec, backbone, inputs)
    together, alone = (model.predict(clips, updates=0) for clips in (np.arange(8), np.array([3])))
    np.testing.assert_allclose(alone[0], together[3], atol=1e-5)


def test_bf16_is_close_to_fp32() -> None:
    exact, rounded = train(methods=("lora",)), train(methods=("lora",), precision="bf16")
    difference = np.abs(exact.predictions.test_logits - rounded.predictions.test_logits).max()
    assert 0 < difference < 0.1


def test_the_record_tells_what_was_trained() -> None:
    run = train(methods=("conformer",), epochs=2)
    info, meta = run.record.train_info, run.record.meta_info
    assert info.num_trainable_params == sum(info.parameters.values())
    assert info.adapted_parameters == info.parameters["adapter"] + info.parameters["norm"]
    assert info.metrics["test"].keys() == {"accuracy", "balanced_accuracy", "macro_f1", "loss", "calibration_error"}
    assert meta.dataset_info["limit"] == 2
    assert meta.dataset_info["clips"] == {"train": 60, "validation": 20, "test": 20}
    assert meta.model_info["note"] == "small, pretrained on generated sounds alone"
    assert run.record.run_info.run_key == run.record.spec.run_key()
    final_norm, discarded = 2 * 128, 6 * 2 * 128
    assert info.published_count == info.adapted_parameters - final_norm + discarded
