"""How runs are trained: where, how many at a time, and what happens to one that is stopped. No part of any key."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PositiveInt

from petl_bench.cluster.profile import SlurmProfile


class Cluster(BaseModel):
    """What is asked of a cluster. device: as of ``--device``, where the runs are. detach: submit, and do not wait."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: SlurmProfile = SlurmProfile()
    device: str = "auto"
    detach: bool = False


class Execution(BaseModel):
    """Choices that leave what a run computes as it is.

    devices: torch devices; every one has ``jobs`` workers. threads: of each worker; None: an equal share of what torch
    would use. checkpoint_every: epochs between two checkpoints of a run; None: each epoch, but at most one a minute.
    gradient_checkpointing: layers are computed again in the backward pass instead of kept in memory. frozen_states:
    what layers that a method leaves alone make of every clip is computed once, and kept. allow_parts: a batch that
    does not fit into memory is accumulated from parts even where a BatchNorm then sees parts. save_adapters: what was
    trained is kept with the run. trackers: names of those that follow the runs. cluster: for executors that have one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: str = "local"
    devices: tuple[str, ...] = ("cpu",)
    jobs: PositiveInt = 1
    threads: PositiveInt | None = None
    checkpoint_every: PositiveInt | None = None
    gradient_checkpointing: bool = False
    frozen_states: bool = True
    allow_parts: bool = False
    save_adapters: bool = False
    trackers: tuple[str, ...] = ()
    cluster: Cluster = Cluster()

    @property
    def workers(self) -> int:
        """Processes that train at the same time."""
        return self.jobs * len(self.devices)
