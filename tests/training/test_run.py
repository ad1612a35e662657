"""One run: seeded bit for bit, tested at its best validation epoch, and stopped with a diagnosis where it breaks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from petl_bench.benchmarks.splits import Split
from petl_bench.metrics import evaluate
from petl_bench.records import FinishedRun
from petl_bench.registry import METHODS
from petl_bench.runspec import RunSpec
from petl_bench.switches import Switches
from petl_bench.training.inputs import Inputs
from petl_bench.training.model import Model, NotFiniteError
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


class Watched:
    """What a backbone is given in training and evaluation mode during ``fit``, and the optimizer's settings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
        plan, workbench = plan_of(replace(TINY, **changes))  # type: ignore[arg-type]
        self.spec = plan[0].spec
        self.backbone, self.split = workbench.backbone(self.spec), workbench.split(self.spec)
        self.inputs = Inputs(self.spec, workbench, self.split)
        self.training: list[torch.Tensor] = []
        self.evaluation: list[torch.Tensor] = []
        self.settings: dict[str, object] = {}
        self.backbone.register_forward_pre_hook(self.see)
        adamw = torch.optim.AdamW

        def optimizer(parameters: list[torch.nn.Parameter], **settings: object) -> torch.optim.AdamW:
            self.settings = settings
            return adamw(parameters, **settings)  # type: ignore[arg-type]

        monkeypatch.setattr(torch.optim, "AdamW", optimizer)
        cls = METHODS.load(self.spec.method.implementation).cls
        with seeded(self.spec, "initialisation"):
            cls(cls.Config()).attach(self.backbone)
            self.backbone.add_head(10)
        progress = fit(Model(self.spec, self.backbone, self.inputs), self.split, Session(Silence()))
        self.logs, self.best = progress.logs, progress.best

    def see(self, module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        (self.training if module.training else self.evaluation).append(arguments[0].clone())


def rows(batches: list[torch.Tensor]) -> list[bytes]:
    """The clips of some batches, as bytes to compare."""
    return [clip.numpy().tobytes() for batch in batches for clip in batch]


def test_every_epoch_shows_each_training_clip_once_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Watched(monkeypatch, epochs=2, batch_size=25)
    assert [len(batch) for batch in seen.training] == [25, 25, 10] * 2
    first, second = rows(seen.training[:3]), rows(seen.training[3:])
    expected = rows([seen.inputs.features(seen.split.train)])
    assert sorted(first) == sorted(second) == sorted(expected)
    assert len({tuple(first), tuple(second), tuple(expected)}) == 3
    assert rows(seen.evaluation[:1]) == rows([seen.inputs.features(seen.split.validation)])


def test_features_are_normalised_as_asts_extractor_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Watched(monkeypatch)
    features, targets = (of(np.array([3, 1])) for of in (seen.inputs.features, seen.inputs.targets_of))
    table = torch.from_numpy(np.array(seen.inputs.table[[3, 1]]))
    torch.testing.assert_close(features, (table + 4.2677393) / (2 * 4.5689974))
    assert targets.tolist() == seen.inputs.targets[[3, 1]].tolist()


def test_masks_are_for_training_alone_and_differ_between_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Watched(monkeypatch, epochs=2, batch_size=100, settings=("synthetic.augment.time_mask=60",))
    first, second = ((batch == 0).all(dim=2).sum(dim=1) for batch in seen.training)
    assert first.max() > 20
    assert sorted(first.tolist()) != sorted(second.tolist())
    assert not (seen.evaluation[0] == 0).any()


def test_the_recipe_is_adamw_with_a_cosine_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Watched(monkeypatch, methods=("lora",), epochs=3, batch_size=25)
    assert seen.settings == {"lr": 5e-3, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.1, "fused": True}
    expected = [5e-3 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in (1, 2, 3)]
    assert [log["lr"] for log in seen.logs] == pytest.approx(expected, abs=1e-12)


def test_batch_statistics_are_learned_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Watched(monkeypatch, methods=("conformer",))
    norms = [module for module in seen.backbone.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert len(norms) == 6
    assert all(norm.running_mean.abs().sum() > 0 and norm.num_batches_tracked == 2 for norm in norms)


def test_the_headline_metric_picks_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = [
        {"accuracy": 0.9, "macro_f1": 0.1, "loss": 1.0},
        {"accuracy": 0.5, "macro_f1": 0.6, "loss": 3.0},
        {"accuracy": 0.8, "macro_f1": 0.6, "loss": 2.0},
        {"accuracy": 0.8, "macro_f1": 0.6, "loss": 2.0},
    ]
    answers = iter(measured)
    monkeypatch.setattr("petl_bench.training.run.evaluate", lambda logits, targets: next(answers))
    seen = Watched(monkeypatch, epochs=4, settings=("synthetic.metric=macro_f1",))
    assert seen.best.epoch == 3
    assert [log["validation_macro_f1"] for log in seen.logs] == [0.1, 0.6, 0.6, 0.6]


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


def test_an_accumulated_batch_has_the_gradient_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without batch statistics, 60 clips as 25, 25 and 10 train as one batch does; a part sees so many clips."""
    whole = Watched(monkeypatch, methods=("bottleneck",), epochs=2, batch_size=60)
    parts = Watched(
        monkeypatch,
        methods=("bottleneck",),
        epochs=2,
        batch_size=60,
        settings=("synthetic.training.micro_batch_size=25",),
    )
    assert [len(batch) for batch in parts.training] == 2 * [25, 25, 10]
    assert [len(batch) for batch in whole.training] == 2 * [60]
    for one, other in zip(whole.logs, parts.logs, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert one["lr"] == other["lr"]
    assert whole.spec.run_key() != parts.spec.run_key()


def broken_fit(breakage: str, batch_size: int = 10) -> None:
    plan, workbench = plan_of(replace(TINY, methods=("lora",), epochs=2, batch_size=batch_size))
    spec = plan[0].spec
    backbone, inputs = workbench.backbone(spec), Inputs(spec, workbench, workbench.split(spec))
    METHODS.load("lora").cls(METHODS.load("lora").cls.Config()).attach(backbone)
    backbone.add_head(10)
    if breakage == "input":
        inputs.mean = float("nan")
    elif breakage == "weight":
        torch.nn.init.constant_(backbone.get_parameter("attachments.layer2_v_lora.down"), float("nan"))
    elif breakage == "gradient":
        backbone.get_parameter("attachments.layer1_q_lora.up").register_hook(lambda gradient: gradient * float("inf"))
    elif breakage == "activation":
        backbone.site("fc1", 3).on_output(lambda x, y: y / torch.zeros_like(y))
    split = Split(np.arange(40), np.arange(40, 60), np.arange(60, 80))
    fit(Model(spec, backbone, inputs), split, Session(Silence()))


@pytest.mark.parametrize(
    ("breakage", "diagnosis"),
    [
        ("input", "step 1 .*input features"),
        ("weight", r"step 1 .*attachments.layer2_v_lora.down is not finite before the first update"),
        ("gradient", r"step 2 .*attachments.layer1_q_lora.up is not finite after the update of step 1"),
        ("activation", r"step 1 .*the output of model.layers.3.mlp\S* is not"),
    ],
)
def test_a_loss_that_is_no_number_is_diagnosed(breakage: str, diagnosis: str) -> None:
    with pytest.raises(NotFiniteError, match=diagnosis):
        broken_fit(breakage)


def test_weights_that_the_last_update_of_an_epoch_ruins_are_named_in_evaluation() -> None:
    with pytest.raises(NotFiniteError, match=r"in evaluation: .*q_lora.up is not finite after the update of step 1"):
        broken_fit("gradient", batch_size=100)


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
