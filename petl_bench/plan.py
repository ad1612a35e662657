"""From cards, flags, folds and seeds to the list of runs.

``--set`` and flags > the card's ``[for.BENCHMARK]`` > its ``[for.BACKBONE]`` > the card > the method's Config: this
precedence is resolved by ``settings`` and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from petl_bench.canonical import flat, unkeyed_fields
from petl_bench.card_files import check, find_card, read_card
from petl_bench.cards import Augment, BenchmarkCard, Optimizer
from petl_bench.errors import UserError, nearest, one_line
from petl_bench.lookup import MethodChoice, find_method
from petl_bench.runspec import DataSpec, MethodSpec, ModelInput, Precision, RunSpec, TrainingSpec, WaveformFeatures
from petl_bench.settings import assigned, check_targets, parse_value, put, resolve_settings, settings_of_card
from petl_bench.switches import PROFILES, Profile, Switches

if TYPE_CHECKING:
    from petl_bench.backbones.sites import Geometry


@dataclass(frozen=True)
class Request:
    """What a user asked for: names of cards, and the flags that override them (None: as the cards say)."""

    methods: tuple[str, ...]
    dataset: str
    backbone: str | None = None
    data_dir: Path | None = None
    seeds: tuple[int, ...] = (0,)
    folds: tuple[int, ...] | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    precision: Precision = "fp32"
    profile: Profile = "corrected"
    switches: tuple[str, ...] = ()
    """``NAME=VALUE``, set on top of the profile."""
    limit: int | None = None
    allow_pickle: bool = False
    """Whether weights may be taken from a pickle."""
    settings: tuple[str, ...] = ()
    """``NAME.KEY=VALUE``; NAME is one of the methods or the benchmark, VALUE is TOML or a bare word."""


@dataclass(frozen=True)
class PlannedRun:
    """One run and the names it is shown and filed under, none of which is part of its keys."""

    spec: RunSpec
    key: str
    code: str
    """What the method registry loads the implementation by."""
    method: str
    benchmark: str
    backbone: str
    remark: str = ""
    """What a reader of its table should know of the method."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What card and request together said of the method and is not the code's default, by dotted key."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """What ``--set`` and flags said, of the optimizer too."""
    label: str = ""
    """What a study calls the run's configuration, beside its method."""
    search: str = ""
    """The search that tries the run's configuration, where one does."""

    @property
    def title(self) -> str:
        label = f" ({self.label})" if self.label else ""
        return f"{self.method}{label} on {self.benchmark}, fold {self.spec.fold}, seed {self.spec.seed}"


Plan = tuple[PlannedRun, ...]
"""All runs of a request, in the order they are trained."""


@dataclass(frozen=True)
class Subject:
    """What the planner must know of loaded things: identities and sizes, no data."""

    data_fingerprint: str
    class_count: int
    backbone: str
    backbone_fingerprint: str
    geometry: Geometry


@dataclass(frozen=True)
class Choice:
    """A request with its names looked up: cards read and checked, ``--set`` and flags applied to the benchmark's."""

    benchmark: str
    card: BenchmarkCard
    methods: tuple[MethodChoice, ...]
    switches: Switches
    notes: tuple[str, ...]


def choose(request: Request) -> Choice:
    """Look up what a request names, and refuse what can be seen to be wrong before anything is loaded.

    Raises UserError where a name, a card, a fold or a setting is wrong.
    """
    file = find_card("benchmarks", request.dataset)
    card = read_card(file, BenchmarkCard)
    methods: list[MethodChoice] = []
    for given in dict.fromkeys(request.methods):
        method = find_method(given)
        if any(method.name == other.name for other in methods):
            raise UserError(f"two of the methods are called '{method.name}': rename one")
        methods.append(method)
    check_targets(request.settings, [*(method.name for method in methods), file.name])

    flags = {"training.epochs": request.epochs, "training.batch_size": request.batch_size, "backbone": request.backbone}
    given_flags = {key: value for key, value in flags.items() if value is not None}
    card = _with_settings(card, file.name, {**assigned(request.settings, file.name), **given_flags})
    _folds(request, card)
    for method in methods:
        resolve_settings(method, file.name, card.backbone, given_settings(request, method))
    notes = [f"{file.path} shadows the built-in card '{file.name}'" if file.shadows else ""]
    notes += [method.note for method in methods]
    return Choice(file.name, card, tuple(methods), _switches(request), tuple(note for note in notes if note))


def make_plan(request: Request, choice: Choice, subject: Subject) -> Plan:
    """Every (method, fold, seed) of the request. Raises UserError where a setting is not allowed."""
    card = choice.card
    folds = _folds(request, card)
    subject.geometry.check_features(card.features.frames, card.features.bins)
    features, augment = model_input(card, choice.switches, subject.geometry)
    data = DataSpec(
        fingerprint=subject.data_fingerprint,
        class_count=subject.class_count,
        metric=card.metric,
        protocol=card.protocol,
        features=features,
        augment=augment,
    )
    runs = []
    for chosen in choice.methods:
        method, optimizer, remark = _resolve(request, choice, chosen, subject)
        overrides = flat(given_settings(request, chosen))
        of_card = settings_of_card(chosen.card, choice.benchmark, subject.backbone)
        settings = _unlike_default(chosen, {**of_card, **overrides}, method)
        training = TrainingSpec(
            optimizer=optimizer,
            epochs=card.training.epochs,
            batch_size=card.training.batch_size,
            micro_batch_size=card.training.micro_batch_size,
            precision=request.precision,
        )
        for fold in folds:
            for seed in request.seeds:
                spec = RunSpec(
                    backbone=subject.backbone_fingerprint,
                    method=method,
                    data=data,
                    training=training,
                    switches=choice.switches,
                    fold=fold,
                    seed=seed,
                )
                names = (chosen.name, choice.benchmark, subject.backbone)
                runs.append(PlannedRun(spec, spec.run_key(), chosen.code, *names, remark, settings, overrides))
    return tuple(runs)


def model_input(card: BenchmarkCard, switches: Switches, geometry: Geometry) -> tuple[ModelInput, Augment]:
    """What a backbone is given of clips, and how it is masked in training: a waveform is not.

    Raises UserError where a switch asks for what only log-mel has.
    """
    if geometry.input == "log_mel":
        return card.features, card.augment
    if switches.normalisation == "training":
        raise UserError(
            "--switch normalisation=training is of log-mel values: this backbone takes waveforms, each normalised as "
            "its preprocessor_config.json says"
        )
    return WaveformFeatures(frames=card.features.frames), Augment()


def _resolve(
    request: Request, choice: Choice, chosen: MethodChoice, subject: Subject
) -> tuple[MethodSpec, Optimizer, str]:
    """What a run's spec holds of a method, with the request's ``--set`` and flags applied; and its remark."""
    given = given_settings(request, chosen)
    config, optimizer = resolve_settings(chosen, choice.benchmark, subject.backbone, given)
    geometry = subject.geometry
    cls = chosen.implementation.cls
    try:
        method = cls(config, choice.switches)
        method.check(geometry)
        method.pooled_tokens(geometry)
        remark = method.remark(geometry)
    except ValueError as error:
        raise UserError(f"{chosen.name}: {error}") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"{chosen.name}: its check fails: {one_line(error)}") from error
    spec = MethodSpec(
        implementation=chosen.implementation.name,
        numerics_version=cls.numerics_version,
        hyperparameters=config.model_dump(mode="json"),
        source=chosen.implementation.source,
        unkeyed=unkeyed_fields(config),
    )
    said = flat(chosen.card.overrides.get(subject.backbone, {}))
    own = f"on {subject.backbone} its card has {', '.join(f'{key} = {value}' for key, value in said.items())}"
    remarks = [text for text in (remark, own if said else "") if text]
    return spec, optimizer, f"{chosen.name}: {'; '.join(remarks)}" if remarks else ""


def _switches(request: Request) -> Switches:
    """The profile's switches, with the request's own on top."""
    given: dict[str, Any] = PROFILES[request.profile].model_dump()
    for switch in request.switches:
        name, value = (part.strip() for part in switch.partition("=")[::2])
        if name not in given:
            raise UserError(
                f"--switch '{switch}'{nearest(name, given)}: give NAME=VALUE, NAME one of {', '.join(given)}"
            )
        given[name] = parse_value(value)
    return check(Switches, given, "--switch")


def _folds(request: Request, card: BenchmarkCard) -> tuple[int, ...]:
    every = tuple(range(1, card.protocol.folds + 1))
    for fold in request.folds or ():
        if fold not in every:
            there = f"folds 1 to {len(every)}" if len(every) > 1 else "one fold, 1"
            raise UserError(f"--folds {fold}: {request.dataset} has {there}")
    return request.folds or every


def _with_settings(card: BenchmarkCard, name: str, settings: dict[str, Any]) -> BenchmarkCard:
    """The card with values put at dotted keys, checked once all are in place."""
    data = card.model_dump(by_alias=True, exclude_unset=True)
    put(data, settings, name)
    return check(BenchmarkCard, data, name)


def _unlike_default(chosen: MethodChoice, said: dict[str, Any], method: MethodSpec) -> dict[str, Any]:
    """Of what was said of a method, without the optimizer, what its Config does not have by default."""
    fields = chosen.implementation.cls.Config.model_fields
    usual = {
        name: field.get_default(call_default_factory=True) for name, field in fields.items() if not field.is_required()
    }
    defaults = flat({name: to_jsonable_python(value) for name, value in usual.items()})
    resolved, of_optimizer = flat(method.hyperparameters), Optimizer.model_fields
    return {
        key: value
        for key, value in said.items()
        if key not in of_optimizer and (key not in defaults or resolved.get(key) != defaults[key])
    }


def given_settings(request: Request, choice: MethodChoice) -> dict[str, Any]:
    """What the request itself says of a method's settings."""
    flags = {} if request.lr is None else {"lr": request.lr}
    return {**assigned(request.settings, choice.name), **flags}
