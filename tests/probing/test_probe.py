"""Probes: states by depth are the model's own, heads learn what is there, and the cards they write can be run."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from petl_bench.backbones.mini import Mini
from petl_bench.backbones.wav2vec2 import Wav2Vec2
from petl_bench.backbones.waveform import Waveform
from petl_bench.backbones.wavlm import WavLM
from petl_bench.card_files import find_card
from petl_bench.errors import UserError
from petl_bench.lookup import find_method
from petl_bench.methods.placement import select_layers
from petl_bench.plan import choose
from petl_bench.probing.card import card_text, layer_setting
from petl_bench.probing.figure import curve
from petl_bench.probing.heads import improved, train_heads
from petl_bench.probing.probe import Depth, Probe, probe
from petl_bench.probing.states import pooled_by_depth
from petl_bench.probing.study import Subject, study_text
from petl_bench.settings import resolve_settings
from petl_bench.sweeps.card import SweepCard
from tests.backbones.waveforms import FRAMES, clips, save_checkpoint
from tests.studies import TINY, Command, plan_of


def found(validation: list[float]) -> Probe:
    depths = tuple(
        Depth(layer=at - 1 if at else None, validation=score, test=score, low=score - 0.1, high=score + 0.1)
        for at, score in enumerate(validation)
    )
    return Probe(benchmark="synthetic", backbone="mini", seeds=(0,), folds=(1, 2), epochs=5, lr=1e-3, depths=depths)


def subject(method: str, folds: int = 5) -> Subject:
    return Subject(method, "synthetic", "mini", Mini.load(None, 100).geometry, folds)


def test_states_by_depth_are_what_the_layers_give_one_by_one() -> None:
    backbone = Mini.load(None, 100)
    before = backbone.condition()
    features = torch.randn(3, 100, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        states = pooled_by_depth(backbone, features)
        for layers in range(backbone.geometry.layers + 1):
            hidden = backbone.hidden(features, layers)
            normalised = (hidden - hidden.mean(-1, keepdim=True)) / (
                hidden.var(-1, unbiased=False, keepdim=True) + 1e-5
            ).sqrt()
            torch.testing.assert_close(states[:, layers], normalised.mean(1), atol=1e-5, rtol=1e-4)
    assert backbone.condition() == before


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("family", [Wav2Vec2, WavLM])
def test_padding_of_waveforms_counts_nowhere(family: type[Waveform], pre_norm: bool, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, family, pre_norm=pre_norm)
    backbone = family.load(tmp_path, FRAMES)
    with torch.inference_mode():
        states = pooled_by_depth(backbone, clips())
        for layers in range(backbone.geometry.layers + 1):
            hidden = backbone.hidden(clips(), layers)
            wanted = backbone.pool(nn.functional.layer_norm(hidden, hidden.shape[-1:]))
            torch.testing.assert_close(states[:, layers], wanted, atol=1e-4, rtol=1e-4)


def test_heads_find_classes_where_they_are_and_nothing_where_there_is_noise() -> None:
    plan, workbench = plan_of(replace(TINY, limit=None, epochs=10, lr=0.02))
    spec, split = plan[0].spec, workbench.split(plan[0].spec)
    targets = torch.from_numpy(workbench.dataset.targets)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(targets), 1, 16, generator=generator)
    signal = 10 * nn.functional.one_hot(targets, 16).float()[:, None] + noise
    spec = spec.model_copy(update={"training": spec.training.model_copy(update={"batch_size": 16})})
    outcome = train_heads(torch.cat([noise, signal], dim=1), targets, split, spec)
    assert outcome.test[1].mean() == outcome.validation[1].mean() == 1.0
    assert outcome.test[0].mean() < 0.4
    alone = train_heads(signal, targets, split, spec)
    assert alone.test.shape == (1, len(split.test))


def test_of_equally_accurate_epochs_the_one_of_lower_loss_is_kept_and_else_the_first() -> None:
    accuracy = torch.tensor([0.9, 0.9, 0.9, 0.35, 0.8], dtype=torch.double)
    best = torch.stack([accuracy, torch.tensor([-1.0, -0.5, -0.5, -1.0, -1.0], dtype=torch.double)])
    now = torch.stack(
        [
            torch.tensor([0.9, 0.9, 0.9, 0.4, 0.7], dtype=torch.double),
            torch.tensor([-0.5, -0.9, -0.5, -2.0, -0.1], dtype=torch.double),
        ]
    )
    assert improved(now, best).tolist() == [True, False, False, True, False]


def test_depths_share_nothing_but_their_batches() -> None:
    plan, workbench = plan_of(replace(TINY, epochs=3))
    spec, split = plan[0].spec, workbench.split(plan[0].spec)
    targets = torch.from_numpy(workbench.dataset.targets)
    states = torch.randn(len(targets), 1, 8, generator=torch.Generator().manual_seed(0))
    doubled = train_heads(torch.cat([states, 100 * states.flip(0)], dim=1), targets, split, spec)
    other = train_heads(torch.cat([states, states], dim=1), targets, split, spec)
    np.testing.assert_array_equal(doubled.test[0], other.test[0])


def test_a_probe_of_the_last_layer_is_the_linear_method() -> None:
    """Both are linear maps of the same states; of the method's recipe only the norm's own weights are beside them."""
    from petl_bench.training.run import train_run

    plan, workbench = plan_of(replace(TINY, limit=4, epochs=30, lr=0.02))
    last = probe(plan, workbench).depths[-1]
    trained = train_run(plan[0], workbench).record.train_info.metrics["test"]["accuracy"]
    assert abs(last.test - trained) <= 0.1


@pytest.mark.parametrize(("by", "layers"), [("accuracy", (1, 2, 4)), ("gain", (0, 1, 2))])
def test_layers_are_chosen_on_validation_clips(by: str, layers: tuple[int, ...]) -> None:
    assert found([0.1, 0.5, 0.7, 0.8, 0.6, 0.65]).most_useful(3, by) == layers  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["conformer", "bottleneck", "lora"])
def test_its_cards_can_be_read_and_planned(name: str, tmp_path: Path) -> None:
    result, method = found([0.1, 0.5, 0.7, 0.8, 0.6, 0.65, 0.6]), find_method(name)
    card, study = tmp_path / f"{name}_probed.toml", tmp_path / "study.toml"
    card.write_text(card_text(method, result, (1, 2, 3), "accuracy"))
    request = replace(TINY, methods=(str(card), name))
    choice = choose(request)
    plan, _ = plan_of(request)
    probed, whole = plan[0].spec.method.hyperparameters, plan[1].spec.method.hyperparameters
    key = layer_setting(method)
    place = probed["placement"] if key.startswith("placement") else probed
    assert list(place["layers"]) == [1, 2, 3]
    assert plan[0].spec.training == plan[1].spec.training
    assert {k: v for k, v in probed.items() if k not in ("placement", "layers")} == {
        k: v for k, v in whole.items() if k not in ("placement", "layers")
    }
    assert choice.methods[0].name == f"{name}_probed"
    study.write_text(study_text(method, subject(name), result, (1, 2, 4), "accuracy"))
    sweep = SweepCard.model_validate(tomllib.loads(study.read_text()))
    assert [arm.partition(":")[0] for arm in sweep.arms] == [
        "probe", "first 3", "last 3", "random", "random", "all", "all, as many parameters",
    ]  # fmt: skip


def arms_of(text: str) -> SweepCard:
    return SweepCard.model_validate(tomllib.loads(text))


@pytest.mark.parametrize("name", ["conformer", "bottleneck", "lora"])
@pytest.mark.parametrize("layers", [(2,), (1, 2, 4), (0, 1, 2, 4, 5)])
def test_all_layers_with_as_many_parameters_have_about_as_many(name: str, layers: tuple[int, ...]) -> None:
    """Counted on the models themselves; where nothing is near, there is no such arm and a note says so."""
    result, method = found([0.1, 0.5, 0.7, 0.8, 0.6, 0.65, 0.6]), find_method(name)
    card = arms_of(study_text(method, subject(name), result, layers, "accuracy"))
    probed = next(arm for arm in card.arms if arm.startswith("probe"))
    backbone, counts = Mini.load(None, 100), {}
    for arm, settings in card.arms.items():
        config = resolve_settings(method, "synthetic", "mini", settings)[0]
        method.implementation.cls(config).attach(backbone)
        counts[arm] = backbone.parameters_by_role()["adapter"]
        backbone = Mini.load(None, 100)
    if "all, as many parameters" in counts:
        assert abs(counts["all, as many parameters"] - counts[probed]) <= 0.25 * counts[probed]
        assert f"{counts['all, as many parameters']:,} of adapters in all layers" in card.notes[0]
        assert f"{counts[probed]:,};" in card.notes[0]
    else:
        assert "no arm has all layers with as many adapter parameters" in card.notes[0]
        assert f"{counts[probed]:,}, the nearest count" in card.notes[0]


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [
        ((3, 4, 5), ["probe", "first 3", "random", "random", "all"]),
        ((0,), ["probe", "last", "random", "random", "all"]),
        ((0, 1, 2, 3, 4, 5), ["probe"]),
    ],
)
def test_no_layers_stand_twice(layers: tuple[int, ...], wanted: list[str]) -> None:
    result = found([0.1, 0.5, 0.7, 0.8, 0.6, 0.65, 0.6])
    card = arms_of(study_text(find_method("lora"), subject("lora"), result, layers, "accuracy"))
    arms = {arm: settings["layers"] for arm, settings in card.arms.items() if "as many" not in arm}
    assert [arm.partition(":")[0] for arm in arms] == wanted
    selected = [select_layers(at if isinstance(at, str) else tuple(at), 6) for at in arms.values()]
    assert len(set(selected)) == len(selected)


def test_a_single_layer_and_a_single_split_are_spoken_of_as_such() -> None:
    result = found([0.1, 0.5, 0.7, 0.8, 0.6, 0.65, 0.6])
    one = study_text(find_method("lora"), subject("lora", folds=1), result, (2,), "gain")
    assert "Is the layer whose output separates the classes better than its input does, by most the one?" in one
    assert "other folds" not in one
    assert "other folds" in study_text(find_method("lora"), subject("lora"), result, (2,), "gain")


def test_names_of_any_kind_can_be_read_back() -> None:
    odd = 'a "quoted" \N{DOG} \x7f\n\\name'
    result = found([0.1, 0.5, 0.7]).model_copy(update={"backbone": odd, "benchmark": odd})
    method = find_method("lora")
    method = replace(method, card=method.card.model_copy(update={"title": odd}))
    assert tomllib.loads(card_text(method, result, (1,), "gain"))["title"] == f"{odd}, layer 1 alone"
    read = tomllib.loads(study_text(method, replace(subject("lora"), backbone=odd, dataset=odd), result, (1,), "gain"))
    assert (read["backbone"], read["benchmarks"]) == (odd, [odd])


def test_a_study_of_a_card_and_a_backbone_given_by_path_is_run_from_anywhere(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path / "checkpoint", Wav2Vec2, pre_norm=True)
    (tmp_path / "mine.toml").write_text(find_card("benchmarks", "synthetic").path.read_text())
    monkeypatch.chdir(tmp_path)
    arguments = ["--dataset", "mine.toml", "--backbone", "checkpoint", "--limit", "2", "--epochs", "1"]
    code, out, err = command("probe", *arguments, "--method", "lora", "--layers", "2", "--folds", "1-2")
    assert code == 0, err
    run, sweep = (shlex.split(line)[1:] for line in re.findall(r"petl-bench (?:run|sweep) .*", out))
    for line in (run, sweep):
        for option, value in (("--folds", "1-2"), ("--epochs", "1"), ("--limit", "2")):
            assert line[line.index(option) + 1] == value
    study = tmp_path / "results" / "probes" / "mine-checkpoint" / "probed_layers.toml"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, err = command("sweep", str(study), "--plan", "--limit", "2", "--folds", "1")
    assert code == 0, err


def test_a_method_without_layers_is_refused() -> None:
    with pytest.raises(UserError, match="no layers to choose"):
        layer_setting(find_method("linear"))


def test_the_curve_has_a_point_per_depth_and_marks_what_was_chosen() -> None:
    panel = curve(found([0.1, 0.5, 0.7, 0.8]), (1, 2)).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in panel.lines}
    assert list(lines["test"]) == pytest.approx([10, 50, 70, 80])
    assert list(lines["chosen"]) == pytest.approx([70, 80])


def test_the_command_writes_curve_numbers_and_cards(command: Command, tmp_path: Path) -> None:
    arguments = ("probe", "--dataset", "synthetic", "--limit", "2", "--epochs", "2", "--folds", "1,2", "--results")
    code, out, err = command(*arguments, tmp_path, "--layers", "2")
    assert code == 0, err
    folder = tmp_path / "probes" / "synthetic-mini"
    assert sorted(path.name for path in folder.iterdir()) == [
        "conformer_probed.toml", "probe.json", "probe.png", "probe.svg", "probed_layers.toml",
    ]  # fmt: skip
    assert len(json.loads((folder / "probe.json").read_text())["depths"]) == 7
    assert out.count(" *") == 2 + 1
    code, out, err = command(*arguments, tmp_path, "--layers", "9")
    assert (code, err.strip()) == (2, "petl-bench: --layers 9: the backbone has 6 layers")
