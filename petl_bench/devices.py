"""What ``--device`` means here."""

from __future__ import annotations

import torch

from petl_bench.errors import UserError


def find_devices(text: str) -> tuple[str, ...]:
    """Devices by name: ``auto`` (every GPU, else the CPU), ``cuda`` (every GPU), ``cpu``, ``cuda:0,cuda:2``.

    Looks without touching: a GPU is given no context here. Raises UserError where there is no such device.
    """
    names: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
        if name == "auto":
            names += gpus or ["cpu"]
        elif name == "cuda" and gpus:
            names += gpus
        else:
            names.append(_checked(name, text, gpus))
    return tuple(dict.fromkeys(names))


def _checked(name: str, text: str, gpus: list[str]) -> str:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
    else:
        if device.type == "cpu" or str(device) in gpus:
            return device.type if device.type == "cpu" else str(device)
        there = f"there are {', '.join(gpus)}" if gpus else "there is no GPU that torch can use"
        reason = there if device.type == "cuda" else f"devices of type {device.type} are not supported"
    raise UserError(f"--device {text}: {name} is not usable here ({reason}); give cpu, cuda, cuda:N,... or auto")
