"""From cards and flags to runs: precedence, and the settings that are refused before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petl_bench.card_files import card_files
from petl_bench.errors import UserError
from petl_bench.plan import Request, choose
from petl_bench.runspec import RunSpec
from tests.studies import TINY, plan_of


def spec_of(**changes: Any) -> RunSpec:
    return plan_of(replace(TINY, **changes))[0][0].spec


def test_every_method_fold_and_seed_is_one_run() -> None:
    plan, _ = plan_of(replace(TINY, methods=("linear", "lora"), folds=None, seeds=(0, 1, 2)))
    cells = {(run.method, run.spec.fold, run.spec.seed) for run in plan}
    assert len(plan) == len(cells) == len({run.key for run in plan}) == 2 * 5 * 3


def test_precedence_is_flags_then_benchmark_then_backbone_then_card_then_code(tmp_path: Path) -> None:
    card = tmp_path / "mine.toml"
    text = 'implementation = "conformer"\ntitle = "x"\n'
    card.write_text(text)
    mine = {"methods": (str(card),)}
    assert spec_of(**mine).method.hyperparameters["kernel_size"] == 8
    card.write_text(text + "[hyperparameters]\nkernel_size = 3\n[optimizer]\nlr = 0.1\n")
    assert spec_of(**mine).method.hyperparameters["kernel_size"] == 3
    card.write_text(card.read_text() + "[for.mini]\nkernel_size = 4\n")
    assert spec_of(**mine).method.hyperparameters["kernel_size"] == 4
    card.write_text(card.read_text() + "[for.synthetic]\nkernel_size = 5\nlr = 0.2\n[for.gsc]\nkernel_size = 7\n")
    assert spec_of(**mine).method.hyperparameters["kernel_size"] == 5
    assert spec_of(**mine).training.optimizer.lr == 0.2
    set_ = {"settings": ("mine.kernel_size=9", "mine.lr=0.3")}
    assert spec_of(**mine, **set_).method.hyperparameters["kernel_size"] == 9
    assert spec_of(**mine, **set_).training.optimizer.lr == 0.3
    assert spec_of(**mine, lr=0.4).training.optimizer.lr == 0.4


def test_nested_settings_are_merged_key_by_key(tmp_path: Path) -> None:
    card = tmp_path / "mine.toml"
    card.write_text(
        'implementation = "bottleneck"\ntitle = "x"\n'
        '[hyperparameters]\nplacement.location = "houlsby"\n[for.synthetic]\nplacement.layers = "last:2"\n'
    )
    spec = spec_of(methods=(str(card),), settings=("mine.placement.form=sequential",))
    placement = {"location": "both", "form": "sequential", "position": None, "residual": False, "layers": "last:2"}
    assert spec.method.hyperparameters["placement"] == placement
    assert RunSpec.model_validate_json(spec.model_dump_json()).run_key() == spec.run_key()
    same = spec_of(methods=(str(card),), settings=("mine.placement.form=sequential", "mine.placement={}"))
    unset = spec_of(methods=(str(card),), settings=("mine.placement.form=sequential", "mine.placement.position=none"))
    assert spec.run_key() == same.run_key() == unset.run_key()


def test_the_recipe_comes_from_the_benchmark_card_unless_flags_say_otherwise() -> None:
    recipe = spec_of(epochs=None).training
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer.lr) == (20, 32, 1e-3)
    recipe = spec_of(epochs=3, batch_size=7).training
    assert (recipe.epochs, recipe.batch_size) == (3, 7)
    data = spec_of(settings=("synthetic.protocol.validation=held_out", "synthetic.features.frames=80")).data
    assert data.protocol.validation == "held_out"
    assert data.features.frames == 80


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"methods": ("conformer",), "settings": ("conformer.kernel_size=0",)},
            r"conformer: kernel_size = 0: .*greater",
        ),
        (
            {"methods": ("conformer",), "settings": ("conformer.reduction_rate=129",)},
            r"conformer: reduction_rate = 129 leaves no channel of hidden size 128: at most 128",
        ),
        (
            {"methods": ("conformer",), "settings": ("conformer.kernel=3",)},
            r"no setting 'kernel' \(did you mean 'kernel_s",
        ),
        ({"methods": ("lora",), "settings": ("lora.rank=many",)}, r"lora: rank = 'many': input should be"),
        ({"methods": ("lora",), "settings": ("lora.rank=500",)}, r"lora: rank = 500: at most the hidden size, 128"),
        ({"methods": ("lora",), "settings": ("lora.targets=[]",)}, r"lora: targets = \(?\[?\]?\)?: .*at least 1"),
        ({"folds": (7,)}, r"--folds 7: synthetic has folds 1 to 5"),
        ({"lr": -1.0}, r"linear: lr = -1.0: .*greater than 0"),
        ({"epochs": 0}, r"synthetic: training.epochs = 0: .*greater than 0"),
        ({"batch_size": -4}, r"synthetic: training.batch_size = -4"),
        ({"settings": ("synthetic.features.frames=8",)}, r"features.frames = 8: .*at least 16 frames"),
        ({"settings": ("synthetic.features.bins=64",)}, r"features.bins = 64: .*takes 128 mel bins"),
        ({"settings": ("synthetic.protocol.folds=4",)}, r"protocol.folds = 4, but the data set defines 5"),
        (
            {"settings": ("synthetic.protocol.folds=1", "synthetic.protocol.validation=official")},
            "protocol.folds = 1, but the data set defines 5",
        ),
        ({"settings": ("synthetic.training.epoch=4",)}, r"unknown key 'training.epoch' \(did you mean 'epochs'"),
        ({"settings": ("synthetic.title.x=4",)}, r"'title' holds a value"),
        ({"dataset": "synthetik"}, r"unknown benchmark 'synthetik' \(did you mean 'synthetic'"),
        ({"methods": ("nothing.py:Nothing",)}, r"no file"),
        ({"methods": ("nothing.py",)}, r"no file"),
        (
            {"methods": ("prompt",)},
            r"unknown method 'prompt' \(did you mean 'prompt_\w+'\?\); known: adaptformer, bitfit, ",
        ),
        (
            {"methods": ("bottleneck",), "settings": ("bottleneck.placement.locaton=ffn",)},
            r"unknown key 'placement.locaton' \(did you mean 'location'",
        ),
        (
            {"methods": ("bottleneck",), "settings": ("bottleneck.placement=ffn",)},
            r"placement = 'ffn': .*placement.location = 'ffn'",
        ),
        (
            {"methods": ("lora",), "settings": ("lora.layers=last:7",)},
            r"lora: layers = 'last:7': the backbone has 6 layers",
        ),
        ({"methods": ("lora",), "settings": ("lora.layers=1.5",)}, r"lora: layers = 1.5: give 'all', a list"),
        ({"methods": ("prefix",), "settings": ("prefix.tokens=5",)}, r"prefix: tokens = 5: .*multiple of 2"),
        ({"settings": ("linear.pooling=prompts",)}, r"linear: pooling = 'prompts': no prompt token"),
        (
            {"methods": ("conformer",), "settings": ("conformer.norm=layer", "conformer.reduction_rate=96")},
            r"conformer: norm = 'layer' over fewer than 3 channels",
        ),
    ],
)
def test_a_setting_that_is_not_allowed_is_one_clear_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        plan_of(replace(TINY, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [("lora", "give NAME.KEY=VALUE"), ("lora.rank", "give NAME.KEY=VALUE"), ("lorra.rank=1", "did you mean 'lora'")],
)
def test_a_malformed_setting_is_refused(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose(Request(("lora",), "esc50", settings=(setting,)))


def test_the_shipped_cards_hold_the_published_recipes() -> None:
    """arXiv 2312.03694 and its released code: epochs, batch size, frames, masks; kernel 31 on speech commands."""
    expected = {"esc50": (50, 32, 500, 24, 80, 5), "gsc": (75, 128, 100, 0, 0, 1)}
    for name, values in expected.items():
        card = choose(Request((), name)).card
        augment = card.augment
        found = (card.training.epochs, card.training.batch_size, card.features.frames)
        assert (*found, augment.frequency_mask, augment.time_mask, card.protocol.folds) == values
        assert card.backbone == "MIT/ast-finetuned-audioset-10-10-0.4593"
    rates = dict.fromkeys(card_files("methods"), 0.005)
    rates |= {"linear": 1e-3, "full": 5e-5, "prefix": 1e-2, "prompt_deep": 1e-2, "prompt_shallow": 1e-2}
    choices = choose(Request(tuple(rates), "gsc")).methods
    assert {choice.name: choice.card.optimizer.lr for choice in choices} == rates
    for choice in choices:
        if "conformer" in choice.name:
            assert all(choice.card.overrides[name] == {"kernel_size": 31} for name in ("gsc", "gsc10", "fsc"))
    optimizer = choices[2].card.optimizer
    assert (optimizer.betas, optimizer.eps, optimizer.weight_decay) == ((0.9, 0.98), 1e-6, 0.1)
