"""How published comparisons are run, written from their description: the yardstick that petl-bench is timed against.

Features are extracted anew for every fold and split by Hugging Face's extractor, items are put together one by one, all
is fp32 with eager attention, torch's AdamW as it comes, and the whole model is run for every clip of every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
import torchaudio
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import ASTFeatureExtractor, ASTModel

RATE = 16_000


class ConformerBranch(nn.Module):
    """The adapter of arXiv 2312.03694 with Conv1d for its pointwise maps, channels first as papers draw it."""

    def __init__(self, width: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.down = nn.Conv1d(width, 2 * channels, 1)
        self.depthwise = nn.Conv1d(channels, channels, kernel, groups=channels, padding="same")
        self.norm = nn.BatchNorm1d(channels)
        self.up = nn.Conv1d(channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.glu(self.down(x.transpose(1, 2)), dim=1)
        up: Tensor = self.up(nn.functional.silu(self.norm(self.depthwise(y)))).transpose(1, 2)
        return up


class Beside(nn.Module):
    """A frozen module with a trained branch on the same input."""

    def __init__(self, module: nn.Module, branch: nn.Module) -> None:
        super().__init__()
        self.module, self.branch = module, branch

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.module(x) + self.branch(x)
        return added


class LowRank(nn.Module):
    """LoRA's branch: B A x alpha / rank, B zero at first."""

    def __init__(self, width: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(width, rank, bias=False), nn.Linear(rank, width, bias=False)
        nn.init.zeros_(self.b.weight)
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        low: Tensor = self.b(self.a(x)) * self.scale
        return low


class Classifier(nn.Module):
    """Model, mean over tokens, linear head."""

    def __init__(self, model: ASTModel, classes: int) -> None:
        super().__init__()
        self.model = model
        self.head = nn.Linear(model.config.hidden_size, classes)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(self.model(features).last_hidden_state.mean(dim=1))
        return logits


def build(
    model: ASTModel, method: str, classes: int, layers: Sequence[int] | None = None, **settings: Any
) -> Classifier:
    """A frozen model with a method put into it, final norm and head trained."""
    model.requires_grad_(False)
    model.set_attn_implementation("eager")
    width = model.config.hidden_size
    for number, layer in enumerate(model.layers):
        if layers is not None and number not in layers:
            continue
        if method == "conformer":
            branch = ConformerBranch(width, width // settings.get("reduction_rate", 96), settings.get("kernel_size", 8))
            layer.mlp = Beside(layer.mlp, branch)
            layer.layernorm_after.requires_grad_(True)
        elif method == "lora":
            for name in ("q_proj", "v_proj"):
                setattr(layer.attention, name, Beside(getattr(layer.attention, name), LowRank(width, 6, 16.0)))
        elif method != "linear":
            raise ValueError(method)
    model.layernorm.requires_grad_(True)
    return Classifier(model, classes)


def optimizer_of(model: nn.Module, lr: float) -> torch.optim.AdamW:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, features: Tensor, targets: Tensor) -> float:
    """One update, as the loop below makes it."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(features), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


@dataclass
class Clips(Dataset[tuple[Tensor, int]]):
    """Clips of one split of one fold, extracted when it is made."""

    paths: Sequence[Path]
    targets: npt.NDArray[np.int64]
    frames: int
    features: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        extractor = ASTFeatureExtractor(max_length=self.frames)
        self.features = []
        for path in self.paths:
            sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
            wave = torchaudio.functional.resample(torch.from_numpy(sound.mean(axis=1)), rate, RATE)
            values = extractor(wave.numpy(), sampling_rate=RATE, return_tensors="pt")["input_values"][0]
            self.features.append(values)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> tuple[Tensor, int]:
        return self.features[at], int(self.targets[at])


def run_fold(
    model: Classifier, parts: tuple[Clips, Clips, Clips], *, epochs: int, batch: int, lr: float
) -> Iterator[float]:
    """Train; yields validation accuracy of every epoch, then the test accuracy of the best one."""
    train, validation, test = parts
    loader = DataLoader(train, batch_size=batch, shuffle=True)
    optimizer = optimizer_of(model, lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    best, kept = -1.0, {}
    for _ in range(epochs):
        model.train()
        for features, targets in loader:
            step(model, optimizer, features, targets)
            schedule.step()
        accuracy = accuracy_of(model, validation, batch)
        yield accuracy
        if accuracy > best:
            best, kept = accuracy, {name: its.clone() for name, its in model.state_dict().items()}
    model.load_state_dict(kept)
    yield accuracy_of(model, test, batch)


def accuracy_of(model: Classifier, clips: Clips, batch: int) -> float:
    model.eval()
    right = 0
    with torch.no_grad():
        for features, targets in DataLoader(clips, batch_size=batch):
            right += int((model(features).argmax(dim=1) == targets).sum())
    return right / len(clips)
