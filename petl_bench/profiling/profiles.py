"""Profiles: what a configuration was measured to cost, one file each in ``<results>/profiles``. Free of torch.

A configuration's file is called after the cost key of its runs (``RunSpec.cost_key``); the newest measurement wins.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from petl_bench.errors import UserError
from petl_bench.files import read_text, write_atomically
from petl_bench.records import Part
from petl_bench.runspec import Precision

SCHEMA_VERSION = 1
FOLDER = "profiles"


class Conditions(Part):
    """Under which names and with what sizes was measured.

    ``wanted_batch_size`` was asked for, ``batch_size`` fitted into memory.
    """

    method: str
    benchmark: str
    backbone: str
    frames: PositiveInt
    bins: NonNegativeInt
    """0 where a model is given waveforms."""
    class_count: PositiveInt
    precision: Precision
    batch_size: PositiveInt
    wanted_batch_size: PositiveInt
    repeats: PositiveInt


class StepSplit(Part):
    """A quantity of each part of a training step."""

    data: NonNegativeFloat
    forward: NonNegativeFloat
    backward: NonNegativeFloat
    optimizer: NonNegativeFloat


class Costs(Part):
    """Parameter counts under their names in a record; GFLOPs with a multiply-add as 2 FLOPs, of one clip."""

    num_trainable_params: NonNegativeInt
    num_total_params: PositiveInt
    parameters: dict[str, NonNegativeInt]
    redundant_parameters: NonNegativeInt
    published_count: int
    forward_gflops_per_clip: NonNegativeFloat
    training_gflops_per_clip: NonNegativeFloat
    """Forward and backward."""
    training_clips_per_second: NonNegativeFloat
    inference_clips_per_second: NonNegativeFloat
    step_ms: NonNegativeFloat
    """The training step of median length; ``step_split_*`` are its parts."""
    step_split_ms: StepSplit
    step_split_share: StepSplit
    every_step_ms: tuple[NonNegativeFloat, ...]
    peak_memory_bytes: NonNegativeInt | None
    """Most memory in use during training steps: of tensors on a GPU, of the process on a CPU; None: cannot be told."""
    step_memory_bytes: NonNegativeInt | None
    """What of it is above the memory in use before the first step."""
    matmul_gflops_per_second: NonNegativeFloat
    """What a large matrix multiplication reaches on the machine in this precision."""
    share_of_matmul: NonNegativeFloat
    """Training GFLOPs of a second over that."""


class Machine(Part):
    device: str
    threads: PositiveInt
    torch: str
    platform: str


class Profile(Part):
    """What a configuration costs, where and when it was measured."""

    schema_version: int = SCHEMA_VERSION
    cost_key: str
    created_at: str
    conditions: Conditions
    costs: Costs
    machine: Machine


def write_profile(root: Path, profile: Profile) -> None:
    """Put a profile into a results folder, in place of an older one of its configuration."""
    text = profile.model_dump_json(indent=2) + "\n"
    write_atomically(path_of(root, profile.cost_key), text.encode())


def read_profiles(root: Path) -> tuple[dict[str, Profile], list[str]]:
    """The readable profiles of a results folder by cost key, and a line for every other."""
    profiles, problems = {}, []
    for path in sorted((root / FOLDER).glob("[!.]*.json")):
        try:
            profiles[path.stem] = _read(path)
        except UserError as error:
            problems.append(str(error))
    return profiles, problems


def path_of(root: Path, key: str) -> Path:
    """Where a results folder keeps the profile of a cost key."""
    return root / FOLDER / f"{key}.json"


def _read(path: Path) -> Profile:
    """Raises UserError where a file holds no profile of the key that it is called after."""
    text = read_text(path)
    try:
        data = json.loads(text)
        newer = data["schema_version"] > SCHEMA_VERSION
        profile = None if newer else Profile.model_validate(data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a readable profile ({type(error).__name__})") from error
    if profile is None:
        raise UserError(f"{path}: a newer petl-bench wrote it; update this one")
    if profile.cost_key != path.stem:
        raise UserError(f"{path}: it is the profile of {profile.cost_key}")
    return profile
