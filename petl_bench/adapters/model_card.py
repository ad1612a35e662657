"""The model card of an exported adapter: metadata that the Hugging Face hub reads, and how to use the folder."""

from __future__ import annotations

from huggingface_hub import EvalResult, ModelCardData

from petl_bench.adapters.saved import AdapterConfig
from petl_bench.leaderboard.pages import escaped, percent
from petl_bench.records import RunRecord, slug
from petl_bench.runspec import WaveformFeatures
from petl_bench.switches import describe_switches, profile_of

METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "macro_f1": "f1"}
"""Metrics of a run, by the type that the hub calls them."""
SHOWN = 100
"""Classes that the card names."""


def model_card(record: RunRecord, config: AdapterConfig, *, merged: bool, with_peft: bool) -> str:
    """Markdown with YAML front matter; ``merged``: the folder is a checkpoint. Names from outside are escaped."""
    spec, scores = record.spec, record.train_info.metrics["test"]
    metadata = _metadata(record, config, merged=merged, with_peft=with_peft).to_yaml()
    roles = ", ".join(f"{number:,} {role}" for role, number in record.train_info.parameters.items() if number)
    training = spec.training
    profile = profile_of(spec.switches)
    unlike = describe_switches(spec.switches)
    switches = profile + (f" ({unlike})" if unlike else "")
    names = ", ".join(map(escaped, config.class_names[:SHOWN])) + ", ..." * (len(config.class_names) > SHOWN)
    lines = [
        f"# {escaped(config.method)} on {escaped(config.benchmark)}, backbone {escaped(config.backbone)}",
        "",
        f"Trained by petl-bench {config.petl_bench}, run `{config.run_key}`. It tells "
        f"{len(config.class_names)} classes: {names}.",
        "",
        f"The numbers are those of one run ({_which(record)}). They are no estimate of how well the method does: that "
        "takes all folds and several seeds.",
        "",
        "| test | percent |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {percent(scores[name])} |" for name in METRICS),
        "",
        f"- method: {escaped(spec.method.implementation)}, {roles} parameters trained of "
        f"{record.train_info.num_total_params:,} in the backbone",
        f"- recipe: tested at epoch {record.train_info.tested_epoch} of {training.epochs}, batch "
        f"{training.batch_size}, learning rate {training.optimizer.lr:g}, {training.precision}; profile {switches}",
        f"- input: {_input(config)}; longer sounds are cut to their beginning",
        f"- head: a linear map of the mean of {_pooled(config)}",
        f"- backbone: {escaped(config.backbone)}, fingerprint `{spec.backbone}`",
        "",
        "## Use",
        "",
        *(_use_merged() if merged else _use(with_peft)),
    ]
    return f"---\n{metadata}\n---\n\n" + "\n".join(lines) + "\n"


def _metadata(record: RunRecord, config: AdapterConfig, *, merged: bool, with_peft: bool) -> ModelCardData:
    results = [
        EvalResult(
            task_type="audio-classification",
            dataset_type=slug(config.benchmark),
            dataset_name=config.benchmark,
            dataset_split=f"test, fold {record.spec.fold}",
            metric_type=kind,
            metric_value=record.train_info.metrics["test"][name],
            metric_name=f"test {name.replace('_', ' ')} of one run ({_which(record)})",
        )
        for name, kind in METRICS.items()
    ]
    return ModelCardData(
        model_name=f"{config.method}-{config.benchmark}-{config.run_key}",
        base_model=config.backbone if "/" in config.backbone else None,
        library_name="transformers" if merged else "petl-bench",
        pipeline_tag="audio-classification",
        tags=["petl-bench", record.spec.method.implementation, *(["peft"] if with_peft else [])],
        eval_results=results,
    )


def _which(record: RunRecord) -> str:
    spec, folds = record.spec, record.spec.data.protocol.folds
    limit = record.meta_info.dataset_info["limit"]
    partial = f", at most {limit} clips per class and fold" if limit else ""
    return f"fold {spec.fold} of {folds}, seed {spec.seed}{partial}"


def _input(config: AdapterConfig) -> str:
    features, normalisation = config.spec.data.features, config.normalisation
    if isinstance(features, WaveformFeatures):
        return (
            f"samples at 16 kHz mono, {features.shape[0]:,} at most, each clip normalised or not as the checkpoint's "
            "preprocessor_config.json says"
        )
    return (
        f"16 kHz mono, Kaldi log-mel, {features.frames} frames of 10 ms and {features.bins} bins, mean "
        f"{normalisation.mean:.7g} taken away, divided by {normalisation.scale:.7g}"
    )


def _pooled(config: AdapterConfig) -> str:
    if config.pooled_tokens is None:
        return "all tokens"
    return f"the tokens at {', '.join(map(str, config.pooled_tokens))}, counted from 0"


def _use(with_peft: bool) -> list[str]:
    lines = [
        "`adapter.safetensors` holds all trained tensors, head and norms included; `config.json` says what they belong",
        "to and what input they want. Where petl-bench is installed:",
        "",
        "    petl-bench predict THIS_FOLDER sound.wav other.flac --top 3",
        "",
        "```python",
        "from petl_bench.api import predict",
        "",
        'table = predict("THIS_FOLDER", ["sound.wav", "other.flac"])',
        "```",
    ]
    if with_peft:
        lines += [
            "",
            "`peft/` holds the same without the head, for peft. `base_model` is the model of transformers at the",
            "input length of the run; `head.weight` and `head.bias` are in `adapter.safetensors`.",
            "",
            "```python",
            "from peft import PeftModel",
            "from petl_bench.api import base_model",
            "",
            'model = PeftModel.from_pretrained(base_model("THIS_FOLDER"), "THIS_FOLDER/peft")',
            "```",
        ]
    return lines


def _use_merged() -> list[str]:
    return [
        "A checkpoint of transformers whose weights hold what was trained, at the input length of the run. `head/` has",
        "the classification head, class names and normalisation.",
        "",
        "```python",
        "from transformers import AutoModel",
        "",
        'model = AutoModel.from_pretrained("THIS_FOLDER")',
        "```",
        "",
        "    petl-bench run --methods linear --dataset esc10 --backbone THIS_FOLDER",
    ]
