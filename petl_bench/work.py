"""One run as part of a study, whoever else works on the same results tree: claim it, train it, file what came of it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from petl_bench.checkpoints import Checkpoint
from petl_bench.claims import Owner
from petl_bench.errors import DamagedCacheError, UserError, one_line
from petl_bench.execution import Execution
from petl_bench.plan import PlannedRun
from petl_bench.records import Failure, RunRecord
from petl_bench.results import ResultsTree
from petl_bench.standing import earlier_reason, is_done, stamp
from petl_bench.training.session import Listener, StoppedError
from petl_bench.workbench import Workbench

LONGEST_TRACEBACK = 100_000
"""Characters, from its end, that the record of a failure keeps."""


class Trained(BaseModel):
    """Trained and filed; not ``first`` where another process had filed the run when this one ended."""

    kind: Literal["trained"] = "trained"
    record: RunRecord
    first: bool


class Recorded(BaseModel):
    """Another process filed the run since the study was planned."""

    kind: Literal["recorded"] = "recorded"


class Failed(BaseModel):
    """The run failed, here or in another process since the study was planned; the failure is filed."""

    kind: Literal["failed"] = "failed"
    reason: str


class Held(BaseModel):
    """Another process trains the run."""

    kind: Literal["held"] = "held"
    owner: str


class Stopped(BaseModel):
    """The study wants no more of the run; nothing is kept of it."""

    kind: Literal["stopped"] = "stopped"


class Lost(BaseModel):
    """What was to do the run is gone; nothing is filed of it, and the same call takes it up again."""

    kind: Literal["lost"] = "lost"
    reason: str


Result = Annotated[Trained | Recorded | Failed | Held | Stopped | Lost, Field(discriminator="kind")]


class Task(BaseModel):
    """A run that is to be done.

    replaces: stamp of a record to train again. failures: those on file so far. judged: whether it goes on is asked
    after every epoch.
    """

    run: PlannedRun
    replaces: str = ""
    failures: int = 0
    judged: bool = False


def take_up(task: Task, workbench: Workbench, tree: ResultsTree, execution: Execution, listener: Listener) -> Result:
    """Do a run that nobody else does or has done. Raises UserError where the tree cannot be written to."""
    from petl_bench.training.run import train_run  # heavy, and a process that hands tasks out does without

    run = task.run
    with filing(tree):
        claim = tree.claims.take(run.key)
    if isinstance(claim, Owner):
        return Held(owner=str(claim))
    with claim:
        before = tree.find(run.key)
        if is_done(before) and stamp(before) != task.replaces:
            return Recorded()
        if tree.failure_count(run.key) > task.failures:
            return Failed(reason=f"failed in another process: {earlier_reason(tree.failures().get(run.key))}")
        checkpoint = Checkpoint(tree.checkpoint(run.key), run.key, execution.checkpoint_every)
        try:
            with chdir(os.curdir):  # wherever a method goes
                finished = train_run(run, workbench, listener, execution=execution, checkpoint=checkpoint)
        except StoppedError:
            result: Result = Stopped()
        except DamagedCacheError:
            raise
        except Exception as error:
            result = file_failure(tree, run, error)
        except SystemExit as error:  # from a method's code: one run may not end the others
            result = file_failure(tree, run, RuntimeError(f"the method calls sys.exit({error.code!r})"))
        else:
            before = tree.find(run.key)
            replace = before is not None and (stamp(before) == task.replaces or not is_done(before))
            with filing(tree):
                first = tree.write(finished, replace=replace)
            result = Trained(record=finished.record, first=first)
        checkpoint.discard()
        return result


def file_failure(tree: ResultsTree, run: PlannedRun, error: Exception) -> Failed:
    """File why a run failed. Raises UserError where that cannot be written."""
    reason = one_line(error)
    whole = "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:]
    failure = Failure(
        run_key=run.key,
        title=run.title,
        error=reason,
        traceback=whole.encode("utf-8", "backslashreplace").decode("utf-8"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        spec=run.spec,
    )
    with filing(tree):
        tree.write_failure(failure)
    return Failed(reason=reason)


@contextmanager
def filing(tree: ResultsTree) -> Iterator[None]:
    """Say in one line that the tree cannot be written to."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{tree.root} cannot be written to ({error.strerror or error}); what was recorded before is intact, and "
            "the same command goes on from there"
        ) from error
