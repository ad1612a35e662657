"""``peft:NAME``: the tuners of Hugging Face peft that wrap linear maps, as methods.

A tuner replaces modules of the model by its own, which hold the old ones; ``detach`` puts these back. Its settings are
the fields of its configuration in peft, with peft's defaults, and ``targets`` and ``layers`` as they are called here.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import torch
from pydantic import Field, create_model
from torch import nn

from petl_bench.backbones.base import Backbone
from petl_bench.backbones.sites import Geometry
from petl_bench.cards import Optimizer
from petl_bench.errors import UserError, nearest, one_line
from petl_bench.methods.base import Method, MethodConfig
from petl_bench.methods.placement import Layers, Target, Targets, select_layers
from petl_bench.registry import Implementation

PROMPTS = {
    "prompt_tuning": "prompt_shallow",
    "multitask_prompt_tuning": "prompt_shallow",
    "p_tuning": "prompt_shallow",
    "cpt": "prompt_shallow",
    "prefix_tuning": "prefix",
    "cartridge": "prefix",
    "adaption_prompt": "prefix",
    "trainable_tokens": "prompt_deep",
}
"""What works on the tokens of a language model, and the method here that is like it."""

REFUSED = {
    "adalora": "its ranks are allocated by calls from a training loop of its own; lora and peft:lora have a fixed rank",
    "glora": "one of the tensors that it trains can never get a gradient: use lora or peft:lora",
    "lily": "its router takes a mean over all clips of a batch, so that a prediction depends on the clips beside it",
    "ln_tuning": "it tunes norms, not linear maps: use layernorm",
    "shadow": "it adds a network beside a language model: use adaptformer or convpass",
    "poly": "it routes by task, and a run here has one: use moa_dense or moa_soft",
    "xlora": "it mixes trained adapters from disk: use moa_dense or moa_soft",
}

NOT_DONE: dict[str, tuple[tuple[Any, ...], str]] = {
    "init_lora_weights": (("eva", "corda", "loftq"), "peft asks for a pass over data, or for quantised weights, first"),
    "use_qalora": ((True,), "it is for quantised weights, and changes nothing here"),
}
"""Settings that peft takes and that would not do here what they say."""

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {"dora": ("lora", {"use_dora": True})}
"""Methods that peft has as a setting of another."""

OURS = frozenset(
    {
        "alora_invocation_tokens",
        "auto_mapping",
        "base_model_name_or_path",
        "bias",
        "ensure_weight_tying",
        "exclude_modules",
        "fan_in_fan_out",
        "feedforward_modules",
        "inference_mode",
        "layer_replication",
        "layers_pattern",
        "layers_to_transform",
        "megatron_config",
        "megatron_core",
        "modules_to_save",
        "peft_type",
        "peft_version",
        "progressbar",
        "revision",
        "target_modules",
        "target_parameters",
        "task_type",
        "trainable_token_indices",
    }
)
"""Fields of peft's configurations that this bridge sets, or that say nothing of a backbone's linear maps."""
PLAIN = (bool, int, float, str, type(None))


class PeftConfig(MethodConfig):
    """What every tuner has beside its own fields: the linear maps that it wraps."""

    targets: Targets = ("q", "v")
    layers: Layers = "all"


class PeftMethod(Method):
    """A tuner on the linear maps ``targets``. The final norm trains too, as beside LoRA in arXiv 2312.03694.

    How many parameters train is what a tuner makes of its settings: no formula is stated, and none whether it starts as
    identity. Tensors that it draws and does not train depend on the run's random stream or on a key in its settings.
    """

    fixed_start = True
    tuner: str
    """peft's name, in lower case."""
    fields: ClassVar[dict[str, str]]
    """Names of the Config's settings, and of peft's fields."""

    config: PeftConfig

    def check(self, geometry: Geometry) -> None:
        select_layers(self.config.layers, geometry.layers)
        for setting, (values, reason) in NOT_DONE.items():
            if getattr(self.config, setting, None) in values:
                raise ValueError(f"{setting} = {getattr(self.config, setting)!r}: {reason}")
        width, inner = geometry.hidden_size, geometry.intermediate_size
        sizes = {"fc1": (width, inner), "fc2": (inner, width)}
        with torch.random.fork_rng(devices=[]):  # much is refused by peft only when it meets a linear map
            trial = nn.ModuleDict()
            for target in self.config.targets:
                trial[target] = nn.Linear(*sizes.get(target, (width, width)))
            self._wrap(trial, {target: target for target in self.config.targets})

    def attach(self, backbone: Backbone) -> None:
        names = {id(module): name for name, module in backbone.model.named_modules()}
        layers = select_layers(self.config.layers, backbone.geometry.layers)
        sites = [backbone.site(target, layer) for layer in layers for target in self.config.targets]
        targets = self.config.targets * len(layers)
        places = {names[id(site.module)]: target for site, target in zip(sites, targets, strict=True)}
        wrapped = WrappedModules(backbone.model, places)
        backbone.until_detached(wrapped)
        self._wrap(backbone.model, places)
        wrapped.forget_attributes()
        for site in sites:  # says that the linear map is not untouched: a tuner may use its weight in ways of its own
            site.on_output(lambda x, y: y)
        backbone.add(f"peft_{self.tuner}", wrapped.additions(), "adapter")
        self.train_norm(backbone, "norm_final")

    def _wrap(self, model: nn.Module, places: dict[str, Target]) -> None:
        """Let the tuner replace the modules at ``places`` of a model. Raises ValueError where peft refuses."""
        config_class, tuner_class = _tuners()[self.tuner]
        settings = {field: getattr(self.config, name) for name, field in self.fields.items()}
        settings |= preset_of(self.tuner)
        settings["target_modules"] = list(places)
        if "feedforward_modules" in config_class.__dataclass_fields__:  # scaled before the map, not behind it
            settings["feedforward_modules"] = [name for name, target in places.items() if target == "fc2"]
        if "progressbar" in config_class.__dataclass_fields__:
            settings["progressbar"] = False
        try:
            tuner_class(model, config_class(**settings), adapter_name="default")
        except (ValueError, TypeError, ImportError) as error:
            raise ValueError(one_line(error)) from error


class WrappedModules:
    """Linear maps that a tuner is to replace, as they are; ``remove`` puts them back."""

    def __init__(self, model: nn.Module, places: Iterable[str]) -> None:
        self.model = model
        self.attributes = set(vars(model))
        self.modules = {place: model.get_submodule(place) for place in places}
        self.weights = {place: [p.detach().clone() for p in m.parameters()] for place, m in self.modules.items()}

    def additions(self) -> nn.Module:
        """What the tuner has put beside the linear maps, as one module without these."""
        own = {id(module) for module in self.modules.values()}
        found = nn.ModuleList()
        for place in self.modules:
            layer = self.model.get_submodule(place)
            found.extend(child for child in layer.children() if id(child) not in own)
        return found

    def remove(self) -> None:
        for place, module in self.modules.items():
            parent, _, name = place.rpartition(".")
            setattr(self.model.get_submodule(parent), name, module)
            for parameter, kept in zip(module.parameters(), self.weights[place], strict=True):
                parameter.data.copy_(kept)
        self.forget_attributes()

    def forget_attributes(self) -> None:
        """Take off what the tuner has noted on the model: what it computes does not depend on that."""
        for attribute in set(vars(self.model)) - self.attributes:
            delattr(self.model, attribute)


@cache
def implementation_of(name: str) -> Implementation[Method]:
    """The method behind ``peft:NAME``. Raises UserError where peft is not installed or has no such tuner."""
    tuners = _tuners()
    if name in PROMPTS:
        raise UserError(
            f"peft:{name} works on a language model's tokens: use {PROMPTS[name]}, a method of this project"
        )
    if name in REFUSED:
        raise UserError(f"peft:{name} cannot be used here: {REFUSED[name]}")
    if name not in tuners:
        raise UserError(
            f"unknown tuner 'peft:{name}'{nearest(name, tuners)}; known of peft {version('peft')}: {', '.join(tuners)}"
        )
    config, fields = _config_of(name)
    title = f"{name} of Hugging Face peft {version('peft')}"
    members = {"Config": config, "tuner": name, "fields": fields, "__doc__": title, "__module__": __name__}
    return Implementation(f"peft:{name}", type(f"Peft_{name}", (PeftMethod,), members), f"peft=={version('peft')}")


@cache
def _tuners() -> dict[str, tuple[Any, Any]]:
    """Configuration and tuner of every kind that can wrap linear maps, by name."""
    try:
        import peft  # noqa: F401  (registers them)
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
    except ImportError as error:
        raise UserError("peft:NAME needs Hugging Face peft: pip install 'petl-bench[peft]'") from error
    found = {}
    for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items():
        name = str(kind.value).lower()
        if name not in PROMPTS and name not in REFUSED and "target_modules" in config.__dataclass_fields__:
            found[name] = (config, PEFT_TYPE_TO_TUNER_MAPPING[kind])
    found |= {name: found[kind] for name, (kind, _) in PRESETS.items()}
    return dict(sorted(found.items()))


def preset_of(name: str) -> dict[str, Any]:
    """Fields that a name fixes."""
    return PRESETS[name][1] if name in PRESETS else {}


def _config_of(name: str) -> tuple[type[PeftConfig], dict[str, str]]:
    """A Config with a tuner's plain fields, and what peft calls them: one that is an optimizer's is renamed."""
    config_class, _ = _tuners()[name]
    hints = get_type_hints(config_class)
    settings: dict[str, Any] = {}
    fields: dict[str, str] = {}
    for field in dataclasses.fields(config_class):
        if field.name in {*OURS, *preset_of(name)} or not _is_plain(hints[field.name]):
            continue
        taken = field.name in Optimizer.model_fields or field.name in PeftConfig.model_fields
        ours = f"{name}_{field.name}" if taken else field.name
        default = field.default if field.default is not dataclasses.MISSING else Field(default_factory=_factory(field))
        settings[ours] = (hints[field.name], default)
        fields[ours] = field.name
    made: type[PeftConfig] = create_model(f"Peft_{name}_Config", __base__=PeftConfig, **settings)
    return made, fields


def _factory(field: dataclasses.Field[Any]) -> Any:
    assert field.default_factory is not dataclasses.MISSING
    return field.default_factory


def _is_plain(hint: Any) -> bool:
    """Whether a field holds what JSON holds."""
    origin = get_origin(hint)
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType, list, dict, tuple):
        return all(_is_plain(part) for part in get_args(hint) if part is not Ellipsis)
    return hint in PLAIN
