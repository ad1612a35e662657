"""Hugging Face peft's tuners as methods: what they compute, what is put back, and what is said where one does not fit."""

from __future__ import annotations

import builtins
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch

from petl_bench.backbones.half import halve_frozen
from petl_bench.backbones.mini import Mini
from petl_bench.errors import UserError
from petl_bench.execution import Execution
from petl_bench.lookup import find_method
from petl_bench.methods import peft_bridge
from petl_bench.methods.lora import Lora
from petl_bench.plan import choose
from petl_bench.records import read_record
from petl_bench.registry import BACKBONES
from petl_bench.testing import MethodContract
from petl_bench.training.run import attached, train_run
from tests.backbones.waveforms import FRAMES, clips, save_checkpoint
from tests.studies import TINY, Command, Study, plan_of

FEATURES = torch.randn(2, 100, 128, generator=torch.Generator().manual_seed(0))
FITTING: dict[str, dict[str, Any]] = {"c3a": {"block_size": 32}, "vblora": {"vector_length": 32}}
"""Settings without which peft's defaults do not fit mini's width of 128."""
CHECKED = ["lora", "oft", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("vera", "ia3", "vblora"))]


def method_of(name: str, **settings: Any) -> Any:
    cls = peft_bridge.implementation_of(name).cls
    return cls(cls.Config(**{**FITTING.get(name, {}), **settings}))


@pytest.mark.parametrize("name", CHECKED)
def test_tuners_keep_the_contract(name: str) -> None:
    members = {"method": f"peft:{name}", "settings": FITTING.get(name, {})}
    contract: MethodContract = type("Contract", (MethodContract,), members)()
    findings = list(contract.findings())
    assert not [finding for finding in findings if finding.outcome == "violated"]
    unknown = next(finding for finding in findings if finding.rule == "parameter_count_is_the_formula")
    assert (unknown.outcome, unknown.detail) == ("not applicable", "it states no formula (expected_parameters)")


@pytest.mark.parametrize("name", [name for name in peft_bridge._tuners() if name not in peft_bridge.REFUSED])
def test_every_tuner_wraps_and_is_taken_off_again(name: str) -> None:
    backbone = Mini.load(None, frames=100)
    state = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    condition, plain = backbone.condition(), backbone.tokens(FEATURES)
    method = method_of(name, layers=(1, 4))
    method.check(backbone.geometry)
    method.attach(backbone)
    assert backbone.parameters_by_role()["adapter"] > 0
    assert {name for name, p in backbone.named_parameters() if p.requires_grad} == set(backbone.roles)
    backbone.train()
    backbone.tokens(FEATURES).sum().backward()
    with torch.no_grad():
        for parameter in backbone.trained_parameters():
            parameter.add_(0.1)
    assert not torch.equal(backbone.tokens(FEATURES), plain)
    backbone.detach()
    assert backbone.condition() == condition
    assert all(torch.equal(tensor, state[key]) for key, tensor in backbone.state_dict().items())
    assert torch.equal(backbone.tokens(FEATURES), plain)


def test_pefts_lora_is_ours_on_the_same_tensors() -> None:
    ours, theirs = Mini.load(None, frames=100), Mini.load(None, frames=100)
    plain = ours.tokens(FEATURES)
    Lora(Lora.Config(rank=6, alpha=16)).attach(ours)
    method_of("lora", r=6, lora_alpha=16).attach(theirs)
    assert torch.equal(ours.tokens(FEATURES), plain)
    assert torch.equal(theirs.tokens(FEATURES), plain)
    assert ours.parameters_by_role() == theirs.parameters_by_role()
    assert ours.total_parameters() == theirs.total_parameters()
    generator = torch.Generator().manual_seed(1)
    for layer in range(6):
        for target in ("q", "v"):
            update: Any = ours.attachments[f"layer{layer}_{target}_lora"]
            wrapped: Any = theirs.module_at(target, layer)  # type: ignore[arg-type]
            with torch.no_grad():
                update.up.normal_(std=0.1, generator=generator)
                wrapped.lora_A["default"].weight.copy_(update.down)
                wrapped.lora_B["default"].weight.copy_(update.up)
    for backbone in (ours, theirs):
        torch.manual_seed(0)
        backbone.add_head(4)
    with torch.no_grad():
        torch.testing.assert_close(ours(FEATURES), theirs(FEATURES), atol=1e-5, rtol=1e-5)
        assert (ours.tokens(FEATURES) - plain).abs().max() > 0.1


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_pefts_lora_is_ours_on_models_of_waveforms_too(family: str, pre_norm: bool, tmp_path: Path) -> None:
    cls = BACKBONES.load(family).cls
    save_checkpoint(tmp_path, cls, pre_norm=pre_norm)
    ours, theirs = cls.load(tmp_path, FRAMES), cls.load(tmp_path, FRAMES)
    targets: Any = ("q", "k", "v", "o", "fc1", "fc2")
    Lora(Lora.Config(rank=4, alpha=16, targets=targets)).attach(ours)
    method_of("lora", r=4, lora_alpha=16, targets=targets).attach(theirs)
    with torch.no_grad():
        plain = ours.tokens(clips())
        for layer in range(3):
            for target in targets:
                update: Any = ours.attachments[f"layer{layer}_{target}_lora"]
                wrapped: Any = theirs.module_at(target, layer)
                update.up.normal_(std=0.1)
                wrapped.lora_A["default"].weight.copy_(update.down)
                wrapped.lora_B["default"].weight.copy_(update.up)
        found = ours.tokens(clips())
        torch.testing.assert_close(found, theirs.tokens(clips()), atol=1e-5, rtol=1e-5, equal_nan=True)
        assert (found - plain).nan_to_num().abs().max() > 0.01


@pytest.mark.parametrize(
    ("tuner", "settings"), [("lora", {"init_lora_weights": "eva"}), ("lora", {"use_qalora": True})]
)
def test_settings_that_would_not_do_what_they_say_are_refused(tuner: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        method_of(tuner, **settings).check(Mini.describe(None).geometry)


def test_targets_and_layers_are_the_projects_own_names() -> None:
    backbone = Mini.load(None, frames=100)
    method_of("ia3", targets=("fc2", "k"), layers="last:1").attach(backbone)
    wrapped = {name for name, module in backbone.model.named_modules() if hasattr(module, "base_layer")}
    assert wrapped == {"layers.5.attention.k_proj", "layers.5.mlp.fc2"}
    assert backbone.module_at("fc2", 5).is_feedforward
    assert backbone.parameters_by_role()["adapter"] == 128 + 512
    assert "model.layernorm.weight" in backbone.roles


def test_frozen_weights_that_a_tuner_uses_stay_in_full_precision() -> None:
    backbone = Mini.load(None, frames=100)
    method_of("dora").attach(backbone)
    halve_frozen(backbone)
    assert backbone.module_at("q", 0).base_layer.weight.dtype == torch.float32
    assert backbone.module_at("k", 0).weight.dtype == torch.bfloat16
    backbone.detach()


def test_what_a_tuner_leaves_alone_is_computed_once() -> None:
    request = replace(TINY, methods=("peft:lora",), epochs=3, settings=("peft:lora.layers=last:2", "peft:lora.r=4"))
    plan, workbench = plan_of(request)
    kept, whole = train_run(plan[0], workbench), train_run(plan[0], workbench, execution=Execution(frozen_states=False))
    assert kept.record.meta_info.system_info["frozen_layers"] == 4
    for one, other in zip(kept.epochs, whole.epochs, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
    np.testing.assert_allclose(kept.predictions.test_logits, whole.predictions.test_logits, atol=2e-3)
    backbone = workbench.backbone(plan[0].spec)
    attached(plan_of(replace(request, settings=()))[0][0], backbone)
    assert workbench.untouched_layers(backbone) == 0


def test_one_seed_gives_one_start() -> None:
    starts = []
    for seed in (0, 0, 1):
        plan, workbench = plan_of(replace(TINY, methods=("peft:lora",), seeds=(seed,)))
        backbone = workbench.backbone(plan[0].spec)
        attached(plan[0], backbone)
        starts.append(backbone.module_at("q", 0).lora_A["default"].weight.clone())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_a_run_from_the_command_line(command: Command, study: Study) -> None:
    arguments = ["--dataset", "synthetic", "--epochs", "1", "--limit", "2", "--folds", "1", "--executor", "in_process"]
    code, out, err = command(
        "run", "--methods", "peft:lora,lora", *arguments, "--set", "peft:lora.r=6", "--results", str(study.tree.root)
    )
    assert (code, err) == (0, "")
    assert re.search(r"^peft:lora +\d", out, re.MULTILINE)
    records = [read_record(folder) for folder in study.tree.run_folders().values()]
    record = next(record for record in records if record.spec.method.implementation == "peft:lora")
    assert record.spec.method.source == f"peft=={peft.__version__}"
    assert record.spec.method.hyperparameters["r"] == 6
    assert record.train_info.parameters["adapter"] == 6 * 2 * 2 * 128 * 6


def test_settings_and_their_defaults_can_be_shown(command: Command) -> None:
    code, out, _ = command("show", "peft:lora")
    assert code == 0
    assert {'targets = ["q", "v"]', "r = 8", "lora_alpha = 8", "use_dora = false"} <= set(out.splitlines())


def test_a_card_may_name_a_tuner(tmp_path: Any) -> None:
    card = tmp_path / "wide.toml"
    card.write_text('implementation = "peft:oft"\ntitle = "OFT"\n[hyperparameters]\noft_block_size = 16\n')
    choice = choose(replace(TINY, methods=(str(card),))).methods[0]
    assert (choice.name, choice.implementation.name) == ("wide", "peft:oft")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lorra", "unknown tuner 'peft:lorra' (did you mean 'lora'?); known of peft"),
        (
            "prefix_tuning",
            "peft:prefix_tuning works on a language model's tokens: use prefix, a method of this project",
        ),
        ("p_tuning", "use prompt_shallow"),
        ("adalora", "peft:adalora cannot be used here: its ranks are allocated"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError) as refusal:
        find_method(f"peft:{name}")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("peft:lora.rank=6", "peft:lora has no setting 'rank'"),
        ("peft:lora.r=wide", "peft:lora: r = 'wide': "),
        ("peft:lora.r=0", "peft:lora: ValueError: `r` should be a positive integer"),
        ("peft:lora.targets=['x']", "peft:lora: targets.0 = 'x'"),
        ("peft:lora.layers=[9]", "the backbone has 6 layers"),
    ],
)
def test_settings_that_peft_refuses_are_said_in_one_line(setting: str, message: str) -> None:
    with pytest.raises(UserError) as refusal:
        plan_of(replace(TINY, methods=("peft:lora",), settings=(setting,)))
    assert message in str(refusal.value)


def test_without_peft_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "peft":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    for cached in (peft_bridge._tuners, peft_bridge.implementation_of):
        cached.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'petl-bench\[peft\]'"):
        find_method("peft:lora")
