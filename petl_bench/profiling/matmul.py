"""What a machine reaches at best: the rate of a large matrix multiplication."""

from __future__ import annotations

import time
from statistics import median

import torch

from petl_bench.profiling.steps import synchronise
from petl_bench.runspec import Precision

SIDES = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the square matrices: large enough that more make it no faster."""
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def matmul_gflops_per_second(device: str, precision: Precision, threads: int, repeats: int) -> float:
    """GFLOP/s of ``torch.mm`` of two square matrices, the median of so many; a multiply-add is 2 FLOPs."""
    torch.set_num_threads(threads)
    place = torch.device(device)
    side = SIDES[place.type]
    values = torch.rand(side, side, generator=torch.Generator(place).manual_seed(0), device=place)
    matrix = values.to(DTYPES[precision])  # of zeros or ones a GPU that is short of power multiplies more
    torch.mm(matrix, matrix)
    seconds = []
    for _ in range(repeats):
        synchronise(place)
        started = time.perf_counter()
        torch.mm(matrix, matrix)
        synchronise(place)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / median(seconds) / 1e9
