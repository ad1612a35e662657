"""Where training stands, in a file: tensors and plain facts as safetensors, whole or not at all, never a pickle."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from petl_bench.files import whole_file

FORMAT = "petl-bench checkpoint 1"
LEAST_SECONDS = 60.0
"""Where no number of epochs is asked for, checkpoints are so far apart at least."""

State = tuple[dict[str, Tensor], dict[str, Any]]


def write_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON data. Raises OSError."""
    held = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    with whole_file(path) as temporary:
        try:
            save_file(held, temporary, {"format": FORMAT, "facts": text, "sha256": _digest(held, text)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_state(path: Path) -> State:
    """What ``write_state`` wrote. Raises ValueError where the file is damaged, OSError where it cannot be read."""
    path.stat()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        facts = json.loads(metadata["facts"])
    except Exception as error:  # whatever a damaged file makes safetensors say
        raise ValueError(f"{path} is damaged") from error
    if metadata.get("format") != FORMAT or metadata.get("sha256") != _digest(tensors, metadata["facts"]):
        raise ValueError(f"{path} is damaged")
    return tensors, facts


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimizer has gathered, by number of the parameter and name."""
    states = optimizer.state_dict()["state"].items()
    return {f"{number}.{name}": torch.as_tensor(value) for number, its in states for name, value in its.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], lr: Sequence[float]) -> None:
    """Give a new optimizer what another had gathered, and the learning rate of each of its groups."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    for group, rate in zip(groups, lr, strict=True):
        group["lr"] = rate
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


class Checkpoint:
    """The checkpoint of one run: when it is due, and what was put down before."""

    def __init__(self, path: Path, run_key: str, every: int | None = None) -> None:
        self.path = path
        self.run_key = run_key
        self.every = every
        self._last = time.monotonic()

    def is_due(self, epoch: int) -> bool:
        """Whether the state after ``epoch`` (from 1) should be kept."""
        if self.every is not None:
            return epoch % self.every == 0
        return time.monotonic() - self._last >= LEAST_SECONDS

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Keep a state in place of the one before. Raises OSError."""
        write_state(self.path, tensors, {**facts, "run_key": self.run_key})
        self._last = time.monotonic()

    def load(self) -> State | None:
        """The state that was kept last; None where there is none of this run, or it is damaged."""
        try:
            tensors, facts = read_state(self.path)
        except (OSError, ValueError):
            return None
        return (tensors, facts) if facts.get("run_key") == self.run_key else None

    def discard(self) -> None:
        """Remove what was kept, and what a process that was killed while it wrote has left."""
        for path in (self.path, *self.path.parent.glob(f".{self.path.name}.*")):
            with suppress(OSError):
                path.unlink()


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 over names, types, shapes and bytes: safetensors itself would not see a changed byte."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"\0{name} {tensor.dtype} {list(tensor.shape)}\0".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
