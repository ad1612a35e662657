"""``petl-bench pretrain``: make a small backbone from generated sounds, without any data."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer


def pretrain(
    out: Annotated[Path, typer.Option(help="Folder of the run and, in the end, of the backbone.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps; the learning rate falls towards the last.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights and the sounds.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")] = "auto",
    precision: Annotated[
        Literal["bf16", "fp32"], typer.Option(help="bf16 autocast, or fp32 for a processor that is slow at bf16.")
    ] = "bf16",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between two checkpoints.")] = 200,
) -> None:
    """Train a small AST on generated sounds.

    The bundled mini backbone was made with this recipe.
    """
    import torch

    from petl_bench.backbones.pretrain import Recipe
    from petl_bench.backbones.pretrain import pretrain as train
    from petl_bench.cli._layout import next_step
    from petl_bench.devices import find_devices
    from petl_bench.errors import UserError

    def show(log: dict[str, float]) -> None:
        losses = ", ".join(f"{name} {log[name]:.3f}" for name in ("tracks", "outline", "properties"))
        share = log["generation"] / log["seconds"]
        seconds = f"{log['seconds']:.2f} s a step, {share:.0%} of it generation"
        print(f"step {log['step']:.0f} of {steps}: {losses}; {seconds}", flush=True)

    recipe = Recipe(steps, seed, precision=precision)
    folder = out.expanduser()
    if not str(out).strip() or folder.resolve() == Path.cwd():
        raise UserError("--out: give a folder of its own for the backbone")
    chosen = torch.device(find_devices(device)[0])
    train(recipe, folder, chosen, resume=resume, save_every=save_every, on_log=show, on_remark=print)
    next_step(f"petl-bench run --methods linear,lora --dataset synthetic --backbone {shlex.quote(str(folder))}")
