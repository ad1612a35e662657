"""What a fit shows the model and how it trains it: batches, masks, the recipe, and a diagnosis where it breaks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from petl_bench.benchmarks.splits import Split
from petl_bench.registry import METHODS
from petl_bench.training.inputs import Inputs
from petl_bench.training.model import Model, NotFiniteError
from petl_bench.training.run import fit, seeded
from petl_bench.training.session import Session, Silence
from tests.studies import TINY, plan_of


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
