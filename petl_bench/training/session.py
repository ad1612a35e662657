"""One attempt at a run: who is told, in what parts its batches are, and what was done before it was stopped."""

from __future__ import annotations

import time
from typing import Any, Protocol

from petl_bench.checkpoints import Checkpoint
from petl_bench.training.memory import sees_batches
from petl_bench.training.progress import Progress


class StoppedError(Exception):
    """Raised by a listener: the run is not to go on."""


class LeavingError(BaseException):
    """Raised by a listener: this process is to end; the run goes on elsewhere, from a checkpoint of this moment."""


class Listener(Protocol):
    """Told how a run goes. ``epoch`` may raise StoppedError or LeavingError."""

    def epoch(self, epoch: int, log: dict[str, float]) -> None: ...
    def remark(self, text: str) -> None: ...


class Silence:
    """A listener that does nothing."""

    def epoch(self, epoch: int, log: dict[str, float]) -> None: ...
    def remark(self, text: str) -> None: ...


class Session:
    """One attempt at a run, by its listener and its checkpoint.

    parts: clips at a time, where a batch does not fit into memory. where: what the run is trained on. allow_parts: also
    where a BatchNorm sees them.
    """

    def __init__(
        self,
        listener: Listener,
        checkpoint: Checkpoint | None = None,
        parts: int | None = None,
        where: dict[str, Any] | None = None,
        *,
        allow_parts: bool = False,
    ) -> None:
        self.listener = listener
        self.checkpoint = checkpoint
        self.parts = parts
        self.where = where or {}
        self.allow_parts = allow_parts
        self.earlier: list[dict[str, Any]] = []
        """Where the run was before each stop, and the epochs done by then."""
        self.seconds_before = 0.0
        self._started = time.perf_counter()
        self._complained = False

    def take_up(self, progress: Progress) -> None:
        """Go on from the checkpoint, where there is one that fits; the listener is told of the epochs done.

        One whose batches were in parts is left where these are not allowed any more.
        """
        kept = self.checkpoint.load() if self.checkpoint is not None else None
        if kept is None:
            return
        tensors, facts = kept
        if facts["parts"] is not None and not self.allow_parts and sees_batches(progress.backbone):
            self.listener.remark("begins again: its checkpoint was made with --allow-parts")
            return
        if progress.resume(tensors, facts):
            self.parts = facts["parts"]
            self.seconds_before = facts["seconds"]
            self.earlier = [*facts["earlier"], {"epochs": progress.epoch, **facts["where"]}]
            self.listener.remark(f"goes on after epoch {progress.epoch}")
            for log in progress.logs:
                self.listener.epoch(int(log["epoch"]), log)

    def epoch_ended(self, progress: Progress) -> None:
        """Tell the listener, and keep a checkpoint where one is due or the run is to leave this process."""
        try:
            self.listener.epoch(progress.epoch, progress.logs[-1])
        except LeavingError:
            self._put_down(progress)
            raise
        if self.checkpoint is not None and self.checkpoint.is_due(progress.epoch):
            self._put_down(progress)

    def _put_down(self, progress: Progress) -> None:
        """Keep a checkpoint. One that cannot be written stops no run."""
        if self.checkpoint is None:
            return
        facts = {
            **progress.facts(),
            "parts": self.parts,
            "seconds": self.seconds_before + time.perf_counter() - self._started,
            "earlier": self.earlier,
            "where": self.where,
        }
        try:
            self.checkpoint.save(progress.tensors(), facts)
        except OSError as error:
            reason = error.strerror or error
            if not self._complained:
                self.listener.remark(f"no checkpoint: {self.checkpoint.path} cannot be written to ({reason})")
            self._complained = True
