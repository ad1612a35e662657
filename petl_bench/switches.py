"""Switches: where the code behind the literature and a careful protocol differ, each a choice of its own.

A profile sets them all: ``corrected`` as they should be, ``published`` as the code released with arXiv 2312.03694 has
them. Any other set is ``custom``; its results never share a table with those of another set.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

from petl_bench.canonical import Introduced

Profile = Literal["corrected", "published"]


class Switches(BaseModel):
    """The defaults are the corrected profile.

    position_embeddings: ``adapted`` - cut from the middle or interpolated to the benchmark's length, as AST's authors
    do; ``zeros`` - frozen zeros, as the released code leaves them at any length but the checkpoint's own.
    checkpoint: the epoch that is tested - ``best`` on validation, or ``last``.
    init: ``method`` - each method's own: LoRA and bottleneck start with a zero output side, the conformer adapter as
    torch initialises it; ``released`` - as the released code ends up: LoRA and bottleneck N(0, 0.02) on both sides;
    ``zero`` - every adapter with a zero output side, the conformer's too, and SSF without its noise.
    lora_scale: alpha over ``rank``, or over ``reduction_rate`` (hidden size / rank).
    distillation_token: what prompt tuning does with it, ``kept`` or ``dropped``.
    normalisation: of the input - mean and std of the benchmark's ``card``, of ``audioset``, or of the log-mel values of
    the run's ``training`` clips.
    train_norms: whether the norms that feed adapted sites, and the final one, train beside the method.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    position_embeddings: Literal["adapted", "zeros"] = "adapted"
    checkpoint: Literal["best", "last"] = "best"
    init: Annotated[Literal["method", "released", "zero"], Introduced("method")] = "method"
    lora_scale: Annotated[Literal["rank", "reduction_rate"], Introduced("rank")] = "rank"
    distillation_token: Annotated[Literal["kept", "dropped"], Introduced("kept")] = "kept"
    normalisation: Annotated[Literal["card", "audioset", "training"], Introduced("card")] = "card"
    train_norms: Annotated[bool, Introduced(True)] = True


PROFILES: dict[Profile, Switches] = {
    "corrected": Switches(),
    "published": Switches(
        position_embeddings="zeros",
        checkpoint="last",
        init="released",
        lora_scale="reduction_rate",
        distillation_token="dropped",
        normalisation="audioset",
    ),
}


def profile_of(switches: Switches) -> str:
    """``corrected``, ``published`` or ``custom``."""
    return next((name for name, profile in PROFILES.items() if switches == profile), "custom")


def describe_switches(switches: Switches) -> str:
    """The switches that are not as in the corrected profile."""
    given: dict[str, Any] = switches.model_dump()
    usual = Switches().model_dump()
    return ", ".join(f"{name} = {value}" for name, value in given.items() if value != usual[name])
