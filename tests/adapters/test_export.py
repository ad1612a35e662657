"""What leaves the house: a folder with a model card, LoRA as peft reads it, updates folded into plain weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel

from petl_bench.adapters.export import export_run
from petl_bench.adapters.model import Needs, load_model
from petl_bench.api import base_model
from petl_bench.backbones.resolve import resolve
from petl_bench.errors import UserError
from petl_bench.records import FinishedRun
from petl_bench.results import ResultsTree
from petl_bench.training.inputs import Inputs
from tests.adapters.exported import exported, filed, trained
from tests.studies import TINY, Command, plan_of

LORAS: dict[str, dict[str, Any]] = {
    "corrected": {},
    "published": {"profile": "published"},
    "every-target": {"settings": ("lora.targets=['q','k','v','o','fc1','fc2']", "lora.layers=[0,5]", "lora.rank=3")},
    "frozen-norm": {"switches": ("train_norms=false",)},
}


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETL_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedRun, Path]:
    """A run with LoRA, and its folder."""
    run = trained(methods=("lora",))[0]
    return run, filed(ResultsTree(tmp_path_factory.mktemp("results")), run)


def inputs_of(run: FinishedRun, **changes: Any) -> tuple[Tensor, Tensor]:
    """Features of a run's test clips as training gives them to a model, and the logits that it recorded."""
    _, workbench = plan_of(replace(TINY, limit=1, **{"methods": ("lora",), **changes}))
    spec = run.record.spec
    split = workbench.split(spec)
    return Inputs(spec, workbench, split).features(split.test), torch.from_numpy(run.predictions.test_logits)


@pytest.mark.parametrize("name", LORAS)
def test_peft_loads_an_exported_lora_and_gives_the_runs_logits(tmp_path: Path, name: str) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    run = exported(ResultsTree(tmp_path / "results"), tmp_path / "out", methods=("lora",), **LORAS[name])
    features, wanted = inputs_of(run, **LORAS[name])
    model = peft.PeftModel.from_pretrained(base_model(tmp_path / "out"), tmp_path / "out" / "peft").eval()
    head = load_file(tmp_path / "out" / "adapter.safetensors")
    with torch.no_grad():
        tokens = model(features).last_hidden_state
        logits = tokens.mean(dim=1) @ head["head.weight"].T + head["head.bias"]
    assert torch.allclose(logits, wanted, atol=1e-5, rtol=0), (logits - wanted).abs().max()
    said = json.loads((tmp_path / "out" / "peft" / "adapter_config.json").read_text())
    trained_norm = "frozen" not in name
    assert said["modules_to_save"] == (["layernorm"] if trained_norm else None)
    spec = run.record.spec
    scale = said["lora_alpha"] / said["r"]
    rank, alpha = (spec.method.hyperparameters[key] for key in ("rank", "alpha"))
    assert scale == pytest.approx(alpha / (rank if spec.switches.lora_scale == "rank" else 128 / rank))


MERGED = {
    **{name: {"methods": ("lora",), **LORAS[name]} for name in ("corrected", "published", "every-target")},
    **{name: {"methods": (name,)} for name in ("full", "bitfit", "linear")},
}


@pytest.mark.parametrize("name", MERGED)
def test_what_is_merged_is_a_plain_checkpoint_with_the_runs_logits(tmp_path: Path, name: str) -> None:
    run = trained(**MERGED[name])[0]
    folder = filed(ResultsTree(tmp_path / "results"), run)
    assert export_run(folder, tmp_path / "merged", merge=True) == []
    assert {path.name for path in (tmp_path / "merged").iterdir()} == {"config.json", "model.safetensors", "head", "README.md"}  # fmt: skip
    features, wanted = inputs_of(run, **MERGED[name])
    plain = AutoModel.from_pretrained(tmp_path / "merged")
    head = load_file(tmp_path / "merged" / "head" / "head.safetensors")
    with torch.no_grad():
        logits = plain(features).last_hidden_state.mean(dim=1) @ head["weight"].T + head["bias"]
    assert torch.allclose(logits, wanted, atol=1e-5, rtol=0), (logits - wanted).abs().max()
    source = resolve(str(tmp_path / "merged"))
    assert source.description.geometry.hidden_size == 128
    assert source.description.fingerprint != run.record.spec.backbone


def test_what_is_exported_can_be_validated(tmp_path: Path, lora: tuple[FinishedRun, Path], command: Command) -> None:
    export_run(lora[1], tmp_path / "out")
    export_run(lora[1], tmp_path / "merged", merge=True)
    assert command("validate", str(tmp_path / "out"), str(tmp_path / "merged"))[0] == 0
    code, out, _ = command("validate", str(tmp_path / "out" / "peft"))
    assert code == 2
    assert f"the layout of peft, which says nothing of damage; validate {tmp_path / 'out'}" in out
    (tmp_path / "merged" / "head" / "head.safetensors").write_bytes(b"damaged")
    code, out, _ = command("validate", str(tmp_path / "merged"))
    assert (code, out.count("\n")) == (2, 1)
    assert "not the head of a merged checkpoint" in out


def test_a_backbone_that_cannot_be_read_is_not_called_a_folder_that_cannot_be_written(
    lora: tuple[FinishedRun, Path], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied", "model.safetensors")

    monkeypatch.setattr("petl_bench.adapters.model.resolve", fails)
    code, _, err = command("export", str(lora[1]), "--to", "new")
    assert (code, err) == (2, "petl-bench: model.safetensors cannot be read: Permission denied\n")
    assert not Path("new").exists()


def test_a_merged_checkpoint_is_a_backbone_for_further_runs(tmp_path: Path, lora: tuple[FinishedRun, Path]) -> None:
    export_run(lora[1], tmp_path / "merged", merge=True)
    again = trained(methods=("linear",), backbone=str(tmp_path / "merged"))[0]
    assert again.record.meta_info.model_info["name"] == "merged"


@pytest.mark.parametrize("method", ["conformer", "prefix"])
def test_what_cannot_be_merged_is_one_line_and_writes_nothing(tmp_path: Path, method: str) -> None:
    folder = filed(ResultsTree(tmp_path / "results"), trained(methods=(method,))[0])
    with pytest.raises(UserError, match=f"method {method} cannot be merged: what it attaches cannot be folded"):
        export_run(folder, tmp_path / "merged", merge=True)
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


def test_the_model_card_says_that_its_numbers_are_those_of_one_run(tmp_path: Path) -> None:
    run = exported(ResultsTree(tmp_path / "results"), tmp_path / "out", methods=("conformer",), seeds=(3,))
    card = ModelCard.load(tmp_path / "out" / "README.md")
    results = card.data.eval_results or []
    metrics = run.record.train_info.metrics["test"]
    found = {result.metric_type: result.metric_value for result in results}
    assert found == {"accuracy": metrics["accuracy"], "balanced_accuracy": metrics["balanced_accuracy"], "f1": metrics["macro_f1"]}  # fmt: skip
    for result in results:
        assert (result.task_type, result.dataset_name) == ("audio-classification", "synthetic")
        assert re.match(r"test .* of one run \(fold 1 of 5, seed 3, at most 1 clip", result.metric_name or "")
    assert "no estimate of how well the method does" in card.text
    assert "petl-bench predict" in card.text
    assert not (tmp_path / "out" / "peft").exists()


def test_export_and_its_mistakes(tmp_path: Path, lora: tuple[FinishedRun, Path], command: Command) -> None:
    run, folder = lora
    results = ["--results", str(folder.parents[3])]
    key = run.record.run_info.run_key
    code, out, err = command("export", key[:8], "--to", "out", *results)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "next: petl-bench predict out FILE..."
    assert Path("out/peft/adapter_config.json").is_file()
    without = filed(ResultsTree(tmp_path / "results"), FinishedRun(run.record, run.epochs, run.predictions))
    wrong = {
        "out is there and not an empty folder": [str(folder), "--to", "out"],
        "its adapter was not saved; train the run again with .*--save-adapters": [str(without), "--to", "new"],
        "nowhere: no folder of a run, and no run key in .* begins so": ["nowhere", "--to", "new", *results],
        "has the fingerprint .*, the adapter was trained on mini": [
            str(folder),
            "--to",
            "new",
            "--backbone",
            "mini_random",
        ],
    }
    for message, arguments in wrong.items():
        code, out, err = command("export", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert re.search(message, err)
        assert not Path("new").exists()
    Path("empty").mkdir()
    assert command("export", str(folder), "--to", "empty")[0] == 0


def test_an_adapter_whose_backbone_is_not_here_is_exported_all_the_same(
    tmp_path: Path, lora: tuple[FinishedRun, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without the checkpoint: tensors, configuration and card need none."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    run = lora[0]
    assert run.adapter is not None
    config = run.adapter.config.model_copy(update={"backbone": "nobody/no-such-checkpoint"})
    away = FinishedRun(run.record, run.epochs, run.predictions, type(run.adapter)(config, run.adapter.tensors))
    folder = filed(ResultsTree(tmp_path / "results"), away)
    (line,) = export_run(folder, tmp_path / "out")
    assert "without the layout of peft: it was trained on backbone nobody/no-such-checkpoint, which --backbone" in line
    assert load_model(tmp_path / "out", Needs(backbone="mini")).config == config


def test_a_method_in_a_file_needs_that_very_file(tmp_path: Path) -> None:
    code = "from petl_bench.methods.lora import Lora\nclass Mine(Lora):\n    pass\n"
    Path("mine.py").write_text(code)
    folder = filed(ResultsTree(tmp_path / "results"), trained(methods=("mine.py",))[0])
    (line,) = export_run(folder, tmp_path / "out")
    assert "exported without having been loaded" in line
    assert export_run(folder, tmp_path / "tried", Needs(code="mine.py")) == []
    assert not (tmp_path / "tried" / "peft").exists()
    with pytest.raises(UserError, match=r"method Mine is code of its own \(Mine, sha256:\w+\), which is in no file"):
        load_model(tmp_path / "out")
    assert load_model(tmp_path / "out", Needs(code="mine.py")).config.method == "Mine"
    Path("methods").mkdir()
    Path("methods", "renamed.py").write_text(code)
    assert load_model(tmp_path / "out").config.method == "Mine"
    Path("methods", "renamed.py").unlink()
    Path("mine.py").write_text(code + "\n")
    with pytest.raises(
        UserError, match=r"method code mine.py is Mine \(sha256:\w+\), the adapter was trained with Mine"
    ):
        load_model(tmp_path / "out", Needs(code="mine.py"))
