"""What is measured of a method, in this process. No test asks how long anything took."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from petl_bench.profiling import memory
from petl_bench.profiling.apart import apart
from petl_bench.profiling.matmul import SIDES, matmul_gflops_per_second
from petl_bench.profiling.measure import ProfileRequest, largest_that_fits, measure
from petl_bench.profiling.profiles import Profile
from petl_bench.profiling.steps import Steps
from petl_bench.training.inputs import Inputs
from petl_bench.training.model import Model
from petl_bench.training.run import attached, fit, seeded
from petl_bench.training.session import Session, Silence
from petl_bench.workbench import opening_of
from tests.studies import TINY, plan_of, train

CPU = torch.device("cpu")


def measured(**changes: object) -> Profile:
    """The profile of the first run of a tiny request with ``changes``."""
    from petl_bench.plan import choose

    request = replace(TINY, batch_size=4, **changes)  # type: ignore[arg-type]
    plan, _ = plan_of(request)
    opening = opening_of(request, choose(request))
    return measure(ProfileRequest(plan[0], opening, "cpu", torch.get_num_threads(), repeats=2, matmul=50.0))


@pytest.mark.parametrize("method", ["linear", "conformer"])
def test_parameters_are_those_of_a_records_run(method: str) -> None:
    costs, info = measured(methods=(method,)).costs, train(methods=(method,)).record.train_info
    for name in ("num_trainable_params", "num_total_params", "parameters", "redundant_parameters", "published_count"):
        assert getattr(costs, name) == getattr(info, name)


def test_the_parts_of_a_step_add_up_to_it_and_speeds_follow_from_it() -> None:
    profile = measured(precision="bf16")
    costs, its = profile.costs, profile.conditions
    assert sum(vars(costs.step_split_ms).values()) == pytest.approx(costs.step_ms, rel=1e-5)
    assert sum(vars(costs.step_split_share).values()) == pytest.approx(1, rel=1e-5)
    assert costs.step_ms in costs.every_step_ms
    assert len(costs.every_step_ms) == its.repeats == 2
    assert costs.training_clips_per_second == pytest.approx(4000 / costs.step_ms, rel=1e-4)
    share = costs.training_gflops_per_clip * costs.training_clips_per_second / 50
    assert costs.share_of_matmul == pytest.approx(share, rel=1e-4)
    assert (its.batch_size, its.wanted_batch_size, its.precision) == (4, 4, "bf16")
    assert Profile.model_validate_json(profile.model_dump_json()) == profile


def test_a_timed_step_is_a_step_of_training() -> None:
    """The same clips, masks, dropout and update: the same trained tensors, bit for bit."""
    request = replace(
        TINY,
        methods=("conformer",),
        batch_size=64,
        settings=("synthetic.augment.time_mask=20", "synthetic.augment.frequency_mask=24"),
    )
    plan, workbench = plan_of(request)
    spec = plan[0].spec
    backbone, split = workbench.backbone(spec), workbench.split(spec)
    inputs = Inputs(spec, workbench, split)

    attached(plan[0], backbone)
    fit(Model(spec, backbone, inputs), split, Session(Silence()))
    expected = backbone.trained_state()
    backbone.detach()

    attached(plan[0], backbone)
    backbone.train()
    with seeded(spec, "dropout", 1):
        Steps(spec, backbone, inputs, split, clips=len(split.train)).train(0)
    state = backbone.trained_state()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_batches_go_round_the_training_clips() -> None:
    plan, workbench = plan_of(TINY)
    spec = plan[0].spec
    backbone, split = workbench.backbone(spec), workbench.split(spec)
    attached(plan[0], backbone)
    steps = Steps(spec, backbone, Inputs(spec, workbench, split), split, clips=45)
    both = [*steps.batch(0), *steps.batch(1)]
    assert sorted(both[:60]) == sorted(split.train)
    assert both[60:] == both[:30]


def test_a_batch_is_halved_while_memory_runs_out() -> None:
    tried = []

    def work(clips: int) -> str:
        tried.append(clips)
        if clips > 5:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")
        return "fits"

    assert largest_that_fits(work, 17) == ("fits", 5)
    assert tried == [17, 9, 5]
    with pytest.raises(MemoryError):
        largest_that_fits(_never_fits, 4)
    with pytest.raises(ValueError, match="no matter of memory"):
        largest_that_fits(_wrong, 4)


def _never_fits(clips: int) -> None:
    raise MemoryError


def _wrong(clips: int) -> None:
    raise ValueError("no matter of memory")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system keeps no high-water mark")
def test_memory_is_the_most_in_use_at_a_time() -> None:
    """In a fresh process: an old one has memory left over that it need not ask for."""
    size = 64 * 2**20
    found = apart(memory.peak_memory, partial(torch.ones, size, dtype=torch.uint8), CPU)
    assert found.peak is not None
    assert found.added is not None
    assert 0.9 * size < found.added < found.peak


def test_memory_is_none_where_it_cannot_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "nothing")
    done: list[int] = []
    assert memory.peak_memory(lambda: done.append(1), CPU) == memory.Memory(None, None)
    assert done == [1]


def test_a_matrix_multiplication_has_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIDES, "cpu", 64)
    for precision in ("fp32", "bf16"):
        assert matmul_gflops_per_second("cpu", precision, torch.get_num_threads(), 1) > 0  # type: ignore[arg-type]
