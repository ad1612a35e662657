"""RunSpec: everything that makes a run the experiment it is, and the keys derived from it.

What cannot change a run's numbers by intent is not here: device, workers, threads, paths, card names, time.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt

from petl_bench.canonical import Introduced, canonical, digest
from petl_bench.cards import SHIFT, WINDOW, Augment, Features, Optimizer, Protocol
from petl_bench.seeds import Streams
from petl_bench.switches import Switches

TRAINING_NUMERICS_VERSION = 1
"""Bumped whenever features, augmentation, splits or the training loop would give other numbers for the same spec."""

Precision = Literal["fp32", "bf16"]


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MethodSpec(Settings):
    """A method's code and its resolved hyperparameters.

    ``source`` identifies code that is not built in. ``unkeyed`` names hyperparameters (nested ones dotted) at the value
    they were introduced with: stored, but no part of the keys.
    """

    implementation: str
    numerics_version: int
    hyperparameters: dict[str, Any]
    source: str = ""
    unkeyed: tuple[str, ...] = ()


class WaveformFeatures(Settings):
    """Samples of 16 kHz audio, as many as ``frames`` log-mel frames see: 160 a frame and 240 at the end of the last.

    Nothing else is a card's to say: each clip is normalised as the checkpoint's preprocessor_config.json has it.
    """

    input: Literal["waveform"] = "waveform"
    frames: PositiveInt
    bins: ClassVar[int] = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a clip's features."""
        return (WINDOW + SHIFT * (self.frames - 1),)


ModelInput = Features | WaveformFeatures


class DataSpec(Settings):
    """The clips (by fingerprint), how they are split and what the model is given of them."""

    fingerprint: str
    class_count: PositiveInt
    metric: str
    protocol: Protocol
    features: ModelInput
    augment: Augment
    """SpecAugment, off for waveforms."""


class TrainingSpec(Settings):
    """The training recipe: AdamW with a cosine per step to 0, cross-entropy.

    A batch may be accumulated from parts of ``micro_batch_size`` clips: one gradient, but batch statistics of parts.
    """

    optimizer: Optimizer
    epochs: PositiveInt
    batch_size: PositiveInt
    micro_batch_size: Annotated[PositiveInt | None, Introduced(None)] = None
    precision: Precision = "fp32"
    numerics_version: int = TRAINING_NUMERICS_VERSION


class RunSpec(Settings):
    """One run: (backbone, method, data and protocol, fold, seed, recipe, switches). JSON round-trip safe."""

    backbone: str
    """Fingerprint of the backbone's configuration and weights."""
    method: MethodSpec
    data: DataSpec
    training: TrainingSpec
    switches: Switches = Switches()
    fold: PositiveInt
    seed: int

    @property
    def streams(self) -> Streams:
        """The run's random streams."""
        return Streams(self.seed, self.data.fingerprint, self.fold)

    def run_key(self) -> str:
        """16 hexadecimal digits: same key, same experiment."""
        return digest(self._keyed())

    def config_key(self) -> str:
        """The key without fold and seed: one config is one row of a leaderboard."""
        keyed = self._keyed()
        del keyed["fold"], keyed["seed"]
        return digest(keyed)

    def cost_key(self) -> str:
        """The key of what a clip costs to compute: weights, method, switches, precision, input and output sizes.

        Clips, recipe and batch size are left out.
        """
        keyed, features = self._keyed(), self.data.features
        sizes = {"frames": features.frames, "bins": features.bins, "class_count": self.data.class_count}
        parts = {part: keyed[part] for part in ("backbone", "method", "switches")}
        return digest({**parts, **sizes, "precision": self.training.precision})

    def _keyed(self) -> dict[str, Any]:
        keyed: dict[str, Any] = canonical(self)
        method = keyed["method"]
        for name in method.pop("unkeyed"):
            *path, last = name.split(".")
            place = method["hyperparameters"]
            for part in path:
                place = place[part]
            del place[last]
        return keyed
