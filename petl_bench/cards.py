"""What a method card and a benchmark card may hold; sweep cards are in ``sweeps/card.py``.

A card is a TOML file that a user edits. It holds only what differs from the defaults below and from a method's own
Config. ``card_files`` finds, reads and checks cards.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from petl_bench.canonical import Introduced


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
    """One axis of a search: ``choices``, or a range from ``low`` to ``high``.

    A range with a ``step`` is of whole numbers where low, high and step are; with ``log`` the step is 1.
    """

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
        if self.step is not None and (self.choices is not None or self.step <= 0 or (self.log and self.step != 1)):
            raise ValueError(f"step = {self.step}: for a range, above 0; 1 for a logarithmic one, which makes it whole")
        if self.step is not None and self.low is not None and self.high is not None:
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > 1e-9 * max(1, steps):
                raise ValueError(f"step = {self.step} does not lead from low = {self.low} to high = {self.high}")
        return self

    @model_validator(mode="after")
    def _choices_are_values(self) -> SearchDimension:
        for at, choice in enumerate(self.choices or ()):
            parts = choice if isinstance(choice, list | tuple) else [choice]
            if not all(isinstance(part, str | int | float) for part in parts):
                raise ValueError(f"{choice!r} is neither a number, a word nor a list of these")
            if choice in (self.choices or ())[:at]:
                raise ValueError(f"{choice!r} stands in it twice")
        return self


def dotted_dimensions(space: Any) -> Any:
    """``placement.location = {...}`` is a nested table in TOML: dimensions under dotted names."""
    if not isinstance(space, dict):
        return space
    found: dict[str, Any] = {}
    for name, value in space.items():
        if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            found |= {f"{name}.{inner}": dimension for inner, dimension in dotted_dimensions(value).items()}
        else:
            found[name] = value
    return found


SearchSpace = Annotated[dict[str, SearchDimension], BeforeValidator(dotted_dimensions)]


class Reference(Card):
    """A published result: ``benchmark`` is a card name, ``accuracy`` in percent, ``parameters`` as printed there.

    ``backbone`` is the hub name of the model it was had with; without one, of an AST.
    """

    benchmark: str
    backbone: str = ""
    accuracy: float
    parameters: str = ""
    configuration: str = ""
    source: str

    def is_of(self, benchmark: str, backbone: str, *, waveforms: bool) -> bool:
        """Whether it belongs beside results on a benchmark with a backbone, a hub name or the name of a folder."""
        same = self.backbone.rpartition("/")[2] == backbone.rpartition("/")[2] if self.backbone else not waveforms
        return same and self.benchmark == benchmark


class MethodCard(Card):
    """One method variant. ``for`` holds what is set otherwise on a benchmark or a backbone, by its name.

    ``search_space_for`` does the same for dimensions of the search space.
    """

    implementation: str
    title: str
    paper: str = ""
    hyperparameters: dict[str, Any] = {}
    optimizer: Optimizer = Optimizer()
    overrides: dict[str, dict[str, Any]] = Field(default={}, alias="for")
    search_space: SearchSpace = {}
    search_space_for: dict[str, SearchSpace] = {}
    reference: tuple[Reference, ...] = ()


class Protocol(Card):
    """How clips are split into training, validation and test.

    validation: ``official`` - the data set's own lists (one fold); ``previous_fold`` - fold k tests, the fold before
    it (cyclically) validates, the others train; ``held_out`` - fold k tests, one part in 1 / ``held_out`` of the others
    validates, drawn from ``split_seed``, stratified by class as far as groups kept whole allow. shots: as many training
    clips per class, drawn anew for every seed of a run, so that seeds are repeated draws; all others are left out.
    """

    folds: Annotated[int, Field(gt=0, le=1000)] = 1
    validation: Literal["official", "previous_fold", "held_out"] = "official"
    held_out: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    split_seed: int = 0
    shots: Annotated[PositiveInt | None, Introduced(None)] = None

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


RATE = 16_000
WINDOW, SHIFT = 400, 160
"""Samples that a frame sees, 25 ms, and from one frame to the next, 10 ms."""
AUDIOSET_MEAN, AUDIOSET_STD = -4.2677393, 4.5689974


class Features(Card):
    """Kaldi log-mel of 16 kHz audio, ``frames`` frames of 10 ms; the input is (log_mel - mean) / (2 std).

    The default mean and std are AudioSet's, as in the released AST checkpoints (arXiv 2104.01778).
    """

    frames: Annotated[int, Field(gt=0, le=100_000)] = 1024
    bins: Annotated[int, Field(ge=4, le=1024)] = 128
    mean: float = AUDIOSET_MEAN
    std: PositiveFloat = AUDIOSET_STD

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a clip's features."""
        return self.frames, self.bins


class Augment(Card):
    """SpecAugment on training clips: the widest frequency mask in bins and time mask in frames; 0 is off."""

    frequency_mask: Annotated[int, Field(ge=0)] = 0
    time_mask: Annotated[int, Field(ge=0)] = 0


class Training(Card):
    """``micro_batch_size``: a batch is accumulated from parts of so many clips; None: it is one part."""

    epochs: Annotated[int, Field(gt=0, le=1_000_000)] = 50
    batch_size: Annotated[int, Field(gt=0, le=1_000_000)] = 32
    micro_batch_size: PositiveInt | None = None

    @model_validator(mode="after")
    def _parts_of_a_batch(self) -> Training:
        if self.micro_batch_size is not None and self.micro_batch_size >= self.batch_size:
            raise ValueError(
                f"micro_batch_size = {self.micro_batch_size} is not below batch_size = {self.batch_size}: leave it out"
            )
        return self


class Download(Card):
    """Where the data comes from: ``url`` is a page that tells of it, ``archive`` what ``petl-bench data get`` fetches.

    sha256, md5: a checksum that the archive's makers published; without one the data set's own table says whether it is
    whole.
    """

    url: str
    archive: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    md5: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    licence: str = ""


class BenchmarkCard(Card):
    """One data set and its protocol.

    ``classes`` picks a subset; ``class_count`` must be what is found; another ``clip_count`` is noted under tables.
    ``unlike_published`` says, for tables with published values, in what the card itself differs from their protocol.
    ``folder`` is the data set's folder where another card shares it, else it is called as the card.
    """

    layout: str
    title: str
    folder: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$")] = ""
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
    unlike_published: tuple[str, ...] = ()
