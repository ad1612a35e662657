"""What the contract tries methods on and with: clips, backbones, precisions, training steps, poisoned memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.utils.deterministic
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import ASTConfig, ASTModel

from petl_bench.backbones.ast import AST, ATTENTION
from petl_bench.backbones.base import Backbone
from petl_bench.backbones.hubert import Hubert
from petl_bench.backbones.mini import Mini
from petl_bench.backbones.wav2vec2 import Wav2Vec2
from petl_bench.backbones.waveform import Waveform
from petl_bench.backbones.waveform_folder import without_chance
from petl_bench.backbones.wavlm import WavLM
from petl_bench.methods.base import Method
from petl_bench.runspec import WaveformFeatures

CLASSES, CLIPS, BINS = 3, 4, 128
LEARNING_RATE = 1e-2
POISONED_BYTES = 2**22


def log_mel_clips(frames: int) -> Tensor:
    """Noise in place of normalised log-mel, ``[clips, frames, bins]``, always the same."""
    return torch.randn(CLIPS, frames, BINS, generator=torch.Generator().manual_seed(0))


def waveform_clips(frames: int) -> Tensor:
    """Noise at a speaker's level, ``[clips, samples]``, always the same."""
    shape = WaveformFeatures(frames=frames).shape
    return 0.1 * torch.randn(CLIPS, *shape, generator=torch.Generator().manual_seed(0))


def small(frames: int) -> AST:
    """The bundled ``mini``."""
    return deepcopy(_loaded_mini(frames))


@cache
def _loaded_mini(frames: int) -> AST:
    return Mini.load(None, frames)


def full_size(frames: int) -> AST:
    """AST-base (86 M parameters) with random weights."""
    return AST.of(deepcopy(_random_base()), frames)


@cache
def _random_base() -> ASTModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ASTModel(ASTConfig(attn_implementation=ATTENTION))


def random_waveform(cls: type[Waveform], *, pre_norm: bool, hidden_size: int) -> Waveform:
    """Two layers with random weights: post-norm without attention mask, as base models are, or pre-norm with one."""
    config = cls.config_class(
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm="layer" if pre_norm else "group",
        do_stable_layer_norm=pre_norm,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return cls.of(cls.model_class(without_chance(config)), normalises=True)


@dataclass(frozen=True)
class Family:
    """Backbones of one family, by the number of frames, and clips for them."""

    backbones: tuple[Callable[[int], Backbone], ...]
    clips: Callable[[int], Tensor]


def _waveform_family(cls: type[Waveform]) -> Family:
    @cache
    def made(hidden_size: int) -> Waveform:
        return random_waveform(cls, pre_norm=hidden_size > 128, hidden_size=hidden_size)

    return Family((lambda frames: deepcopy(made(128)), lambda frames: deepcopy(made(192))), waveform_clips)


FAMILIES: dict[str, Family] = {
    "ast": Family((small, full_size), log_mel_clips),
    "wav2vec2": _waveform_family(Wav2Vec2),
    "hubert": _waveform_family(Hubert),
    "wavlm": _waveform_family(WavLM),
}
"""By the name that the registry has for a family of checkpoints."""


def logits_of(backbone: Backbone, inputs: Tensor) -> Tensor:
    """``[clips, classes]`` in evaluation mode, in the backbone's own precision."""
    with torch.no_grad():
        logits: Tensor = backbone.eval()(inputs.to(next(backbone.parameters()).dtype))
    return logits


@dataclass(frozen=True)
class Tolerances:
    """Of a precision: a ``gradient`` norm below this part of the largest is none; equal ``logits`` differ by less."""

    gradient: float
    logits: float


DOUBLE, SINGLE = Tolerances(gradient=1e-12, logits=1e-9), Tolerances(gradient=1e-6, logits=1e-4)


def in_best_precision(backbone: Backbone, inputs: Tensor) -> tuple[Backbone, Tolerances]:
    """The backbone in double precision; in single precision where the method holds tensors that are neither parameters
    nor buffers and so stay behind."""
    try:
        logits_of(backbone.double(), inputs)
    except RuntimeError:
        return backbone.float(), SINGLE
    return backbone, DOUBLE


def refusal(method: Method, backbone: Backbone) -> str:
    """Why a method's check refuses a backbone, or nothing."""
    try:
        method.check(backbone.geometry)
        method.pooled_tokens(backbone.geometry)
    except ValueError as reason:
        return str(reason)
    return ""


def saved_and_loaded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors, written to a file and read from it."""
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, Path(folder) / "state.safetensors")
        return load_file(Path(folder) / "state.safetensors")


def take_steps(backbone: Backbone, inputs: Tensor, steps: int = 2) -> dict[str, float]:
    """Train a little, as a run would. Returns the largest gradient norm that each trained parameter saw."""
    optimizer = torch.optim.AdamW(backbone.trained_parameters(), lr=LEARNING_RATE)
    inputs = inputs.to(next(backbone.parameters()).dtype)
    targets = torch.arange(len(inputs)) % CLASSES
    largest = dict.fromkeys((name for name, _ in backbone.named_parameters() if name in backbone.roles), 0.0)
    backbone.train()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            torch.nn.functional.cross_entropy(backbone(inputs), targets).backward()  # type: ignore[no-untyped-call]
        for name, parameter in backbone.named_parameters():
            if name in largest and parameter.grad is not None:
                largest[name] = max(largest[name], float(parameter.grad.norm()))
        optimizer.step()
    return largest


def trained_outside(backbone: Backbone, inputs: Tensor) -> list[str]:
    """Tensors that a backward pass reaches, but that the backbone does not train: names, or shapes of unknown ones."""
    loss = backbone.train()(inputs.to(next(backbone.parameters()).dtype)).sum()
    trained = {id(parameter) for parameter in backbone.trained_parameters()}
    names = {id(parameter): name for name, parameter in backbone.named_parameters()}
    leaves = {id(leaf): leaf for leaf in _leaves(loss)}
    return [
        names.get(key, f"a tensor of shape {list(leaf.shape)}") for key, leaf in leaves.items() if key not in trained
    ]


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """The tensors with requires_grad that a loss was computed from."""
    seen, open_nodes = set(), [loss.grad_fn]
    while open_nodes:
        node: Any = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        open_nodes.extend(parent for parent, _ in node.next_functions)


@contextmanager
def empty_memory_is_nan() -> Iterator[None]:
    """Memory that torch hands out without a value holds NaN: new tensors by torch's own switch, and what the allocator
    gives out again after it was freed."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    switch: Any = torch.utils.deterministic
    fill, switch.fill_uninitialized_memory = switch.fill_uninitialized_memory, True
    sizes = [2**power for power in range(2, POISONED_BYTES.bit_length())]
    freed = [torch.full((size // 4,), torch.nan) for size in sizes for _ in range(max(1, min(64, 2**16 // size)))]
    del freed
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        switch.fill_uninitialized_memory = fill


def is_poisoned(tensor: Tensor) -> bool:
    """Whether a tensor holds what ``empty_memory_is_nan`` puts into memory: NaN, or the largest whole number."""
    if tensor.is_floating_point():
        return bool(tensor.isnan().any())
    return tensor.dtype != torch.bool and bool((tensor == torch.iinfo(tensor.dtype).max).any())
