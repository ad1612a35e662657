"""Cards: the TOML files a user edits. Methods say WHAT is compared, benchmarks ON WHAT, sweeps OVER WHAT.

A card holds only what differs from the defaults below and from a method's own Config. Cards are found by a path, in
the folder of their kind below the working directory, or among the built-in ones, in this order.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from petl_bench.errors import UserError, nearest
from petl_bench.files import read_text

Kind = Literal["methods", "benchmarks", "sweeps"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Card(BaseModel):
    """Base of everything a card may hold: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Decay = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Card):
    """AdamW as the literature on AST sets it (arXiv 2312.03694, released code): cosine per step to 0, no warm-up."""

    lr: Annotated[float, Field(gt=0, le=1e3)] = 5e-3
    weight_decay: Annotated[float, Field(ge=0, le=1e3)] = 0.1
    betas: tuple[Decay, Decay] = (0.9, 0.98)
    eps: PositiveFloat = 1e-6


class SearchDimension(Card):
    """One axis of a search: ``choices``, or a range from ``low`` to ``high``."""

    choices: tuple[Any, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None

    @model_validator(mode="after")
    def _one_form(self) -> SearchDimension:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("give either choices, or low and high")
        if self.choices is not None and (not self.choices or self.low is not None or self.high is not None):
            raise ValueError("give one choice or more, and no low or high beside them")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low = {self.low} is not below high = {self.high}")
        if self.log and not (self.low or 0) > 0:
            raise ValueError("a logarithmic range starts above 0")
        return self


class Reference(Card):
    """A published result: ``benchmark`` is a card name, ``accuracy`` in percent, ``parameters`` as printed there."""

    benchmark: str
    accuracy: float
    parameters: str = ""
    configuration: str = ""
    source: str


class MethodCard(Card):
    """One method variant. ``for`` holds what is set otherwise on a benchmark or a backbone, by its name."""

    implementation: str
    title: str
    paper: str = ""
    hyperparameters: dict[str, Any] = {}
    optimizer: Optimizer = Optimizer()
    overrides: dict[str, dict[str, Any]] = Field(default={}, alias="for")
    search_space: dict[str, SearchDimension] = {}
    reference: tuple[Reference, ...] = ()

    @field_validator("search_space", mode="before")
    @classmethod
    def _nested_names_are_dotted(cls, space: Any) -> Any:
        """``placement.location = {...}`` is a nested table in TOML."""
        return _dotted(space) if isinstance(space, dict) else space


def _dotted(space: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in space.items():
        if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            found |= {f"{name}.{inner}": dimension for inner, dimension in _dotted(value).items()}
        else:
            found[name] = value
    return found


class Protocol(Card):
    """How clips are split into training, validation and test.

    validation: ``official`` - the data set's own lists (one fold); ``previous_fold`` - fold k tests, the fold before
    it (cyclically) validates, the others train; ``held_out`` - fold k tests, one part in 1 / ``held_out`` of the others
    validates, drawn from ``split_seed``, stratified by class as far as groups kept whole allow.
    """

    folds: PositiveInt = 1
    validation: Literal["official", "previous_fold", "held_out"] = "official"
    held_out: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    split_seed: int = 0

    @model_validator(mode="after")
    def _one_part_in_so_many(self) -> Protocol:
        if abs(1 / self.held_out - round(1 / self.held_out)) > 0.01:
            raise ValueError(f"held_out = {self.held_out} is not one part in a whole number, as 0.1 or 0.25 is")
        return self

    @model_validator(mode="after")
    def _enough_folds(self) -> Protocol:
        needed = {"official": 1, "previous_fold": 3, "held_out": 2}[self.validation]
        if self.folds < needed or (self.validation == "official" and self.folds > 1):
            raise ValueError(
                f"validation = '{self.validation}' needs {'one fold' if needed == 1 else f'at least {needed} folds'}"
            )
        return self


AUDIOSET_MEAN, AUDIOSET_STD = -4.2677393, 4.5689974


class Features(Card):
    """Kaldi log-mel of 16 kHz audio, ``frames`` frames of 10 ms; the input is (log_mel - mean) / (2 std).

    The default mean and std are AudioSet's, as in the released AST checkpoints (arXiv 2104.01778).
    """

    frames: PositiveInt = 1024
    bins: Annotated[int, Field(ge=4)] = 128
    mean: float = AUDIOSET_MEAN
    std: PositiveFloat = AUDIOSET_STD


class Augment(Card):
    """SpecAugment on training clips: the widest frequency mask in bins and time mask in frames; 0 is off."""

    frequency_mask: Annotated[int, Field(ge=0)] = 0
    time_mask: Annotated[int, Field(ge=0)] = 0


class Training(Card):
    epochs: PositiveInt = 50
    batch_size: PositiveInt = 32


class Download(Card):
    """Where the data comes from: an archive (with its SHA-256), or a page that tells how to get it."""

    url: str
    sha256: str = ""
    licence: str = ""


class BenchmarkCard(Card):
    """One data set and its protocol.

    ``classes`` picks a subset; ``class_count`` must be what is found; another ``clip_count`` is noted under tables.
    """

    layout: str
    title: str
    class_count: PositiveInt | None = None
    clip_count: PositiveInt | None = None
    classes: tuple[str, ...] | None = None
    metric: Literal["accuracy", "balanced_accuracy", "macro_f1"] = "accuracy"
    backbone: str = "MIT/ast-finetuned-audioset-10-10-0.4593"
    protocol: Protocol = Protocol()
    features: Features = Features()
    augment: Augment = Augment()
    training: Training = Training()
    download: Download | None = None
    citation: str = ""


class Search(Card):
    """An Optuna search; ``objective`` is a metric of the validation clips."""

    sampler: Literal["tpe", "random", "grid", "nsga2"] = "tpe"
    trials: PositiveInt = 20
    pruner: str = "none"
    objective: Literal["accuracy", "balanced_accuracy", "macro_f1", "loss"] = "accuracy"


class Question(Card):
    """What the study's page answers: differences to ``baseline``, within ``margin`` points, or along ``ordered``."""

    baseline: str = ""
    margin: PositiveFloat | None = None
    ordered: str = ""


class SweepCard(Card):
    """A study: benchmarks x methods x seeds, and over these either a grid of settings or a search."""

    title: str
    benchmarks: Annotated[tuple[str, ...], Field(min_length=1)]
    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    grid: dict[str, tuple[Any, ...]] | None = None
    exclude: tuple[dict[str, Any], ...] = ()
    search: Search | None = None
    question: Question | None = None

    @model_validator(mode="after")
    def _grid_or_search(self) -> SweepCard:
        if (self.grid is None) == (self.search is None):
            raise ValueError("give either [grid] or [search]")
        return self


SCHEMAS: dict[Kind, type[Card]] = {"methods": MethodCard, "benchmarks": BenchmarkCard, "sweeps": SweepCard}
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class CardFile:
    """Where a card of some name was found."""

    name: str
    kind: Kind
    path: Path
    local: bool
    shadows: bool = False
    """A local card that hides a built-in one of its name."""


@cache
def built_in_folder(kind: Kind) -> Path:
    """Folder of the built-in cards: the repository's own in an editable install, else the wheel's package data."""
    package = Path(__file__).resolve().parent
    project = package.parent / "pyproject.toml"
    if project.is_file() and tomllib.loads(project.read_text("utf-8")).get("project", {}).get("name") == "petl-bench":
        return package.parent / kind
    return package / "_cards" / kind


def card_files(kind: Kind) -> dict[str, CardFile]:
    """All cards of a kind by name: those below the working directory first, then the built-in ones.

    Below the working directory a method may also be one ``.py`` file; a card of the same name comes before it.
    """
    found: dict[str, CardFile] = {}
    built_in = built_in_folder(kind)
    for path in sorted(built_in.glob("*.toml")):
        found[path.stem] = CardFile(path.stem, kind, path, local=False)
    local = Path(kind)
    if local.is_dir() and local.resolve() != built_in.resolve():
        built_in_names = set(found)
        files = sorted(local.glob("*.py")) if kind == "methods" else []
        for path in [*files, *sorted(local.glob("*.toml"))]:
            if not path.name.startswith("_"):
                found[path.stem] = CardFile(path.stem, kind, path, local=True, shadows=path.stem in built_in_names)
    return dict(sorted(found.items()))


def find_card(kind: Kind, name: str) -> CardFile:
    """The card called ``name``, or the one at the path ``name``. Raises UserError where there is none."""
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UserError(f"no {kind.removesuffix('s')} card {path}")
        return CardFile(path.stem, kind, path, local=True)
    known = card_files(kind)
    if name not in known:
        raise UserError(
            f"unknown {kind.removesuffix('s')} '{name}'{nearest(name, known)}; known: {', '.join(known) or 'none'}"
        )
    return known[name]


def read_card(file: CardFile, schema: type[Model]) -> Model:
    """Read and check a card. Raises UserError, one line, naming the file and the key."""
    return check(schema, _read_toml(file.path), str(file.path))


def check(schema: type[Model], data: dict[str, Any], where: str) -> Model:
    """Validate ``data`` against ``schema``; ``where`` starts the message of the UserError."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{where}: {describe(error, schema)}") from error


def describe(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first problem of a validation error in one line: the key, what was given and what is allowed."""
    first, *others = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        allowed = sorted(_keys_at(schema, first["loc"][:-1]))
        text = f"unknown key '{key}'{nearest(str(first['loc'][-1]), allowed)}; allowed here: {', '.join(allowed)}"
    elif first["type"] == "missing":
        text = f"key '{key}' is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        given = "" if isinstance(first["input"], dict | BaseModel) else f" = {first['input']!r}"
        text = f"{key}{given}: {message[0].lower()}{message[1:]}" if key else message
    return text + more


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error


def _keys_at(schema: type[BaseModel], location: tuple[int | str, ...]) -> Iterator[str]:
    """Keys a card may have at ``location`` below ``schema``."""
    model: type[BaseModel] | None = schema
    for part in location:
        field = next((f for n, f in (model.model_fields if model else {}).items() if part in (n, f.alias)), None)
        if field is not None:
            model = _model_in(field.annotation)
    for name, field in (model.model_fields if model else {}).items():
        yield field.alias or name


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model an annotation holds, through unions and containers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)
