"""Memory that runs out: batches in parts, said or refused; never another experiment in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from petl_bench.checkpoints import Checkpoint
from petl_bench.execution import Execution
from petl_bench.leaderboard.training_notes import notes_on_training
from petl_bench.records import FinishedRun, Parts
from petl_bench.training.memory import NoMemoryError, is_out_of_memory, smaller_parts
from petl_bench.training.run import train_run
from tests.studies import TINY, Study, plan_of

HUNGRY = """
import torch
from petl_bench.methods.{method} import {cls}
class Hungry({cls}):
    most: int = {most}
    def attach(self, backbone):
        super().attach(backbone)
        def needed(x):
            if len(x) > self.most and backbone.training is {training}:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return x
        backbone.site("layer_in", 0).on_input(needed)
"""


def hungry(method: str, most: int, training: bool = True) -> str:
    """A method that takes all memory where it is given more than ``most`` clips."""
    text = HUNGRY.format(method=method, cls=method.capitalize(), most=most, training=training)
    Path("hungry.py").write_text(text)
    return "hungry.py:Hungry"


class Heard:
    def __init__(self) -> None:
        self.remarks: list[str] = []

    def epoch(self, epoch: int, log: dict[str, float]) -> None: ...

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def train(method: str, execution: Execution | None = None, **changes: object) -> tuple[FinishedRun, list[str]]:
    plan, workbench = plan_of(replace(TINY, methods=(method,), batch_size=25, limit=1, **changes))  # type: ignore[arg-type]
    heard = Heard()
    return train_run(plan[0], workbench, heard, execution=execution), heard.remarks


def test_a_batch_that_does_not_fit_is_accumulated_from_parts_which_is_said() -> None:
    run, remarks = train(hungry("bottleneck", most=7))
    assert remarks == [f"out of memory: begins again with batches in parts of {parts}" for parts in (13, 7)]
    assert run.record.train_info.parts == Parts(clips=7, batch_norm=False)
    assert run.record.spec.training.micro_batch_size is None
    same, _ = train(hungry("bottleneck", most=99), settings=("synthetic.training.micro_batch_size=7",))
    assert np.array_equal(run.predictions.test_logits, same.predictions.test_logits)
    whole, _ = train(hungry("bottleneck", most=99))
    assert whole.record.train_info.parts is None
    np.testing.assert_allclose(run.predictions.test_logits, whole.predictions.test_logits, atol=2e-3)


def test_a_batchnorm_that_would_see_parts_is_refused_unless_allowed() -> None:
    method = hungry("conformer", most=16)
    with pytest.raises(NoMemoryError, match="25 clips at a time. In parts of 13, BatchNorm's .*--allow-parts"):
        train(method)
    run, remarks = train(method, Execution(allow_parts=True))
    assert remarks == [
        "out of memory: begins again with batches in parts of 13, whose statistics are what BatchNorm sees"
    ]
    assert run.record.train_info.parts == Parts(clips=13, batch_norm=True)
    note = "Hungry: in 1 run batches did not fit into memory and were parts of 13 clips, whose statistics are what BatchNorm saw"
    records = [run.record, train("linear")[0].record]
    *about_budget, said = notes_on_training({"these": records})
    assert said == note
    assert all(line.startswith("best in validation after their last epoch") for line in about_budget)


def test_a_norm_of_its_own_clip_needs_no_leave() -> None:
    run, _ = train(hungry("conformer", most=16), settings=("Hungry.norm=group",))
    assert run.record.train_info.parts == Parts(clips=13, batch_norm=False)


def test_parts_that_were_asked_for_are_made_smaller_too() -> None:
    run, _ = train(hungry("bottleneck", most=3), settings=("synthetic.training.micro_batch_size=10",))
    assert run.record.train_info.parts == Parts(clips=3, batch_norm=False)


def test_where_one_clip_is_too_many_the_run_fails_and_says_what_helps(study: Study) -> None:
    outcome = study.run(methods=(hungry("bottleneck", most=0), "linear"))
    assert outcome.trained == 1
    ((_, reason),) = outcome.failed
    assert reason.startswith("NoMemoryError: out of memory with one clip at a time, ")
    assert "--gradient-checkpointing takes less for clips" in reason


def test_evaluation_takes_fewer_clips_at_a_time() -> None:
    run, remarks = train(hungry("lora", most=5, training=False))
    whole, _ = train(hungry("lora", most=99))
    assert remarks == []
    assert run.record.train_info.parts is None
    np.testing.assert_allclose(run.predictions.test_logits, whole.predictions.test_logits, atol=1e-5)


def test_allocations_that_fail_are_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(10**15)
    assert is_out_of_memory(error.value)
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_parts_are_halved_down_to_one() -> None:
    parts = [25]
    while parts[-1] > 1:
        parts.append(smaller_parts(parts[-1], batch_norm=False, allowed=False))
    assert parts == [25, 13, 7, 4, 2, 1]
    with pytest.raises(NoMemoryError):
        smaller_parts(1, batch_norm=False, allowed=True)


SHORT = """
import resource, sys
from dataclasses import replace
import torch
from petl_bench.training.run import train_run
from tests.studies import TINY, plan_of
torch.set_num_threads(1)
changes = dict(methods=("lora",), batch_size=240, limit=None, epochs=1, settings=("synthetic.features.frames=400",))
plan, workbench = plan_of(replace(TINY, **changes))
workbench.features(plan[0].spec.data.features)
workbench.backbone(plan[0].spec)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
print(train_run(plan[0], workbench).record.train_info.parts.clips)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_memory_that_really_runs_out_leads_to_parts() -> None:
    """A process that may not take more than 1 GiB beside what it has loaded."""
    where = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": where}
    done = subprocess.run([sys.executable, "-c", SHORT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in (120, 60, 30, 15)


@pytest.mark.parametrize(
    "text", ["[enforce fail] DefaultCPUAllocator: not enough memory", "could not create a primitive"]
)
def test_what_torch_says_where_memory_runs_out_is_known(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError(text))


STARVED = """
import torch
from petl_bench.methods.linear import Linear
class Starved(Linear):
    def attach(self, backbone):
        super().attach(backbone)
        def step(self, closure=None):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        torch.optim.AdamW.step = step
"""


def test_an_optimizer_that_does_not_fit_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it keeps does not get less in parts."""
    monkeypatch.setattr(torch.optim.AdamW, "step", torch.optim.AdamW.step)
    Path("starved.py").write_text(STARVED)
    with pytest.raises(NoMemoryError, match="or for the optimizer"):
        train("starved.py:Starved")


def test_parts_that_are_not_allowed_any_more_are_not_gone_on_with(tmp_path: Path) -> None:
    method = hungry("conformer", most=16)
    plan, workbench = plan_of(replace(TINY, methods=(method,), batch_size=25, epochs=3))
    checkpoint = Checkpoint(tmp_path / "c.safetensors", plan[0].key, 1)

    class Interrupting(Heard):
        def epoch(self, epoch: int, log: dict[str, float]) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    allowed = Execution(allow_parts=True)
    with pytest.raises(KeyboardInterrupt):
        train_run(plan[0], workbench, Interrupting(), execution=allowed, checkpoint=checkpoint)
    assert checkpoint.path.is_file()
    with pytest.raises(NoMemoryError, match="--allow-parts"):
        train_run(plan[0], workbench, Heard(), checkpoint=checkpoint)
