"""The recipe behind the bundled mini backbone: a small AST trained on sounds that the recipe generates itself.

A step draws sound programs, renders them, masks the features, and trains the model to say what the generator did and
when. The result is a Hugging Face folder that ``--backbone`` loads.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import ASTConfig, ASTModel

from petl_bench.backbones.folder import quiet_transformers
from petl_bench.backbones.pretraining.course import draw_course
from petl_bench.backbones.pretraining.draws import Draws
from petl_bench.backbones.pretraining.objective import WEIGHTS, Pretraining, masked
from petl_bench.backbones.pretraining.programs import draw_programs
from petl_bench.backbones.pretraining.synthesis import render
from petl_bench.backbones.pretraining.targets import Targets, targets_of
from petl_bench.cards import AUDIOSET_MEAN, AUDIOSET_STD, RATE, SHIFT, WINDOW
from petl_bench.checkpoints import below, optimizer_tensors, read_state, restore_optimizer, write_state
from petl_bench.errors import UserError
from petl_bench.files import writing
from petl_bench.seeds import derive_seed

STATE = "resume.safetensors"
LOG = "log.jsonl"
WEIGHTS_FILE = "model.safetensors"

Log = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """All that the weights depend on, beside torch, the device and its number of threads."""

    steps: int
    seed: int = 0
    hidden_size: int = 128
    layers: int = 6
    heads: int = 4
    lr: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 100
    precision: Literal["bf16", "fp32"] = "bf16"
    speech_share: float = 0.5
    batches: tuple[tuple[int, int], ...] = (*[(100, 64)] * 3, (208, 32), *[(100, 64)] * 3, (512, 16))
    """(frames, clips) of a step, in turn: several lengths, so that all from 100 to 512 frames work."""
    calibration: tuple[tuple[int, int], ...] = ((100, 384), (500, 96))
    """(frames, clips) on which the final norm is set."""

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then a cosine to 2% of the peak."""
        cosine = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.lr * min(1.0, (step + 1) / self.warmup) * (0.02 + 0.98 * cosine)

    def draws(self, device: torch.device, stream: str, step: int = 0) -> Draws:
        return Draws.seeded(derive_seed(self.seed, "pretraining", stream, step), device)


class Run:
    """A pretraining run at some step: the network, its optimizer, and the way to and from a checkpoint."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe = recipe
        self.device = device
        self.network = initial_network(recipe).to(device).train()
        self.optimizer = torch.optim.AdamW(_groups(self.network, recipe.weight_decay), betas=(0.9, 0.95))
        self.step = 0

    def train_step(self) -> Log:
        """Generate, and update once. Returns the losses, and the seconds of generation and in all."""
        began = time.perf_counter()
        frames, clips = self.recipe.batches[self.step % len(self.recipe.batches)]
        draws = self.recipe.draws(self.device, "sounds", self.step)
        features, targets = generate(draws, clips, frames, self.recipe.speech_share)
        features = masked(features, draws)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        generated = time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(self.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            losses = self.network.losses(features, targets)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        log = {name: float(loss.detach()) for name, loss in losses.items()}
        return {**log, "generation": generated - began, "seconds": time.perf_counter() - began}

    def save(self, folder: Path) -> None:
        """Write the backbone as it stands, then what ``restore`` needs: a stop between them loses nothing."""
        with quiet_transformers():
            self.backbone().half().save_pretrained(folder)
        (folder / WEIGHTS_FILE).chmod((folder / "config.json").stat().st_mode)
        facts = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "made_with": self._made_with(),
            "lr": [group["lr"] for group in self.optimizer.param_groups],
        }
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in optimizer_tensors(self.optimizer).items()}
        write_state(folder / STATE, tensors, facts)

    def restore(self, folder: Path) -> str:
        """Go on from the checkpoint in ``folder``. Returns a remark where the weights will depend on the stop.

        Raises UserError where it is damaged or none of this recipe.
        """
        if not (folder / STATE).is_file():
            raise UserError(f"{folder} holds no pretraining run to resume")
        try:
            tensors, facts = read_state(folder / STATE)
        except ValueError as error:
            raise UserError(f"{error}: start anew with another --out") from error
        begun, wanted = facts["recipe"], json.loads(json.dumps(asdict(self.recipe)))
        unlike = [name for name in wanted if begun.get(name) != wanted[name]]
        if unlike:
            name = unlike[0]
            raise UserError(
                f"{folder} was begun with {name} {begun.get(name)}, not {wanted[name]}: resume it as it was begun, or "
                "start anew elsewhere"
            )
        self.network.load_state_dict(below("network.", tensors))
        restore_optimizer(self.optimizer, below("optimizer.", tensors), facts["lr"])
        self.step = facts["step"]
        before, now = facts["made_with"], self._made_with()
        return "" if before == now else f"begun on {before}, goes on on {now}: not the weights of a run without a stop"

    def _made_with(self) -> str:
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        return f"{self.device.type}{threads}, torch {torch.__version__}"

    @torch.no_grad()
    def backbone(self) -> ASTModel:
        """A copy of the model whose final norm gives pooled features of generated sounds mean 0 and deviation 1.

        The loss leaves the scale of the mean over tokens open. A head that is trained for a few epochs does not.
        """
        network = copy.deepcopy(self.network)
        norm = network.model.layernorm
        norm.weight.fill_(1.0)
        norm.bias.zero_()
        draws = self.recipe.draws(self.device, "calibration")
        pooled = []
        for frames, count in self.recipe.calibration:
            features, _ = generate(draws, count, frames, self.recipe.speech_share)
            parts = [network.tokens(part).mean(dim=1) for part in torch.split(features, 64)]
            pooled.append(torch.cat(parts))
        mean = torch.stack([part.mean(dim=0) for part in pooled]).mean(dim=0)
        deviation = torch.stack([part.var(dim=0) for part in pooled]).mean(dim=0).sqrt().clamp_min(1e-2)
        norm.weight.copy_(1 / deviation)
        norm.bias.copy_(-mean / deviation)
        model: ASTModel = network.model.cpu()
        return model


def pretrain(
    recipe: Recipe,
    folder: Path,
    device: torch.device,
    *,
    resume: bool = False,
    save_every: int = 200,
    log_every: int = 25,
    on_log: Callable[[Log], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> None:
    """Train to ``recipe.steps`` and write the backbone to ``folder``, with all that is needed to go on.

    A run that was stopped and resumed gives the weights of one that was not, on one device with one number of threads;
    where these differ, ``on_remark`` is told. Raises UserError where ``folder`` cannot be written to, holds a run and
    ``resume`` was not asked for, the other way round, or holds another model.
    """
    with writing(f"--out {folder}"):
        if not resume and (folder / STATE).exists():
            raise UserError(
                f"{folder} holds a pretraining run: --resume goes on with it, another --out starts a new one"
            )
        if not resume and any((folder / name).exists() for name in ("config.json", WEIGHTS_FILE)):
            raise UserError(f"{folder} holds a model: give another --out")
        if not resume:
            folder.mkdir(parents=True, exist_ok=True)
        run = Run(recipe, device)
        remark = run.restore(folder) if resume else ""
        if remark and on_remark is not None:
            on_remark(remark)
        recent: list[Log] = []
        while run.step < recipe.steps:
            recent.append(run.train_step())
            if run.step % log_every == 0 or run.step == recipe.steps:
                log = {"step": run.step, **{name: sum(one[name] for one in recent) / len(recent) for name in recent[0]}}
                recent.clear()
                with (folder / LOG).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(log) + "\n")
                if on_log is not None:
                    on_log(log)
            if run.step % save_every == 0 or run.step == recipe.steps:
                run.save(folder)
        if not (folder / WEIGHTS_FILE).exists():
            run.save(folder)


def generate(draws: Draws, clips: int, frames: int, speech_share: float) -> tuple[Tensor, Targets]:
    """Features ``[clips, frames, 128]`` of fresh sounds, normalised as AST's extractor does, and their targets."""
    samples = WINDOW + SHIFT * (frames - 1)
    programs = draw_programs(draws, clips, speech_share, samples / RATE)
    course = draw_course(programs, draws, samples)
    features = render(programs, course, draws, frames)
    return (features - AUDIOSET_MEAN) / (2 * AUDIOSET_STD), targets_of(programs, course, frames)


def initial_network(recipe: Recipe) -> Pretraining:
    """The network before the first step, from the recipe's seed."""
    config = ASTConfig(
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=4 * recipe.hidden_size,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        patch_size=16,
        frequency_stride=16,
        time_stride=16,
        max_length=512,
        num_mel_bins=128,
        attn_implementation="eager",  # its backward pass in bf16 is four times as fast on a CPU as the fused one's
    )
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(recipe.seed, "pretraining", "initialisation"))
        network = Pretraining(ASTModel(config))
        for name, parameter in network.model.named_parameters():
            if name.endswith("weight") and parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter.data.flatten(1))
            elif name.endswith("_token"):
                nn.init.normal_(parameter, std=config.initializer_range)
        embeddings = network.model.embeddings
        with torch.no_grad():
            embeddings.position_embeddings[:, 2:] = 0.3 * grid_waves(embeddings.get_shape(config), recipe.hidden_size)
    return network


def grid_waves(grid: tuple[int, int], size: int) -> Tensor:
    """Sines and cosines of the row and of the column of every patch, ``[rows * columns, size]``."""
    rate = 100.0 ** -(torch.arange(size // 4) / (size // 4))
    angles = [torch.arange(length)[:, None] * rate for length in grid]
    rows, columns = (torch.cat([angle.sin(), angle.cos()], dim=1) for angle in angles)
    by_row, by_column = rows[:, None].expand(-1, grid[1], -1), columns[None].expand(grid[0], -1, -1)
    return torch.cat([by_row, by_column], dim=2).flatten(0, 1)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay; biases, norms, tokens and position embeddings do not."""
    named = list(network.named_parameters())
    decayed = [parameter for name, parameter in named if name.endswith("weight") and parameter.dim() > 1]
    rest = [parameter for name, parameter in named if not (name.endswith("weight") and parameter.dim() > 1)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
