"""SLURM profiles: what a task asks for, said in a file; a mistake in it is one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from petl_bench.cluster.profile import SlurmProfile, read_profile
from petl_bench.cluster.submit import parameters
from petl_bench.errors import UserError
from tests.studies import Command

STUDY = ("run", "--methods", "linear", "--dataset", "synthetic", "--limit", "1", "--folds", "1,2")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        ('"90"', 90),
        ('"90:00"', 90),
        ('"1:30"', 2),
        ('"01:30:00"', 90),
        ('"00:00:30"', 1),
        ('"100:00:00"', 6000),
        ('"2-12"', 3600),
        ('"2-12:30"', 3630),
        ('"2-12:00:01"', 3601),
    ],
)
def test_time_means_what_it_means_to_sbatch(tmp_path: Path, text: str, minutes: int) -> None:
    (tmp_path / "a.toml").write_text(f"time = {text}\ngrace = 20\n")
    assert read_profile(tmp_path / "a.toml").time == minutes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('partion = "gpu"', "unknown key 'partion' (did you mean 'partition'?)"),
        ('time = "an hour"', "time = 'an hour': give minutes, as 90, or MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS"),
        ("time = true", "time = True: give a number"),
        ("cpus = true", "cpus = True: give a number"),
        ("gpus = true", "gpus = True: give a number"),
        ('memory = "a lot"', "memory = 'a lot': give a whole number and its unit, K, M, G or T, as 16G"),
        ('memory = "1.5G"', "memory = '1.5G': give a whole number and its unit, K, M, G or T, as 16G"),
        ('extra = { job_name = "mine" }', "extra: 'job_name' cannot be set here: the executor sets it itself"),
        ('extra = { outp = "x" }', "extra: 'outp' cannot be set here: the executor sets it itself"),
        ("extra = { requeue = false }", "extra: 'requeue' cannot be set here: the executor sets it itself"),
        ("extra = { time = 3 }", "extra: 'time' cannot be set here: say time = ... in its place"),
        ("extra = { cpus-per-task = 3 }", "extra: 'cpus-per-task' cannot be set here: say cpus = ... in its place"),
        ("extra = { J = 3 }", "extra: 'J' is no option of sbatch: give its long name, without dashes before it"),
        ("time = 2\ngrace = 120", "grace = 120 s is not below time = 2 min"),
        ("memory = 16", "memory = 16: input should be a valid string"),
        ("cpus = 0", "cpus = 0: input should be greater than 0"),
        ("gpus = -1", "gpus"),
        ("cpus = ", "not valid TOML"),
    ],
)
def test_a_mistake_in_a_profile_names_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UserError) as error:
        read_profile(tmp_path / "mine.toml")
    assert str(error.value).startswith(str(tmp_path / "mine.toml"))
    assert said in str(error.value)


def test_units_of_memory_may_be_small_letters() -> None:
    assert SlurmProfile(memory="16gb").memory == "16GB"


def test_the_profile_of_the_working_directory_is_taken_where_none_is_named() -> None:
    assert read_profile(None) == SlurmProfile()
    Path("slurm.toml").write_text('partition = "gpu"')
    assert read_profile(None).partition == "gpu"
    with pytest.raises(UserError, match=r"--slurm-profile other.toml: no such file"):
        read_profile(Path("other.toml"))


def test_what_is_asked_of_sbatch_is_what_the_profile_says(tmp_path: Path) -> None:
    profile = SlurmProfile(
        partition="gpu", time=90, memory="16G", cpus=4, gpus="a100:1", setup=("module load x",), extra={"exclude": "n1"}
    )
    asked = parameters(profile, tmp_path)
    assert {name: asked[name] for name in ("partition", "time", "mem", "cpus_per_task", "gpus_per_node")} == {
        "partition": "gpu",
        "time": 90,
        "mem": "16G",
        "cpus_per_task": 4,
        "gpus_per_node": "a100:1",
    }
    assert "account" not in asked
    assert asked["srun_args"] == ["--cpus-per-task=4"]
    assert asked["setup"][0] == "module load x"  # type: ignore[index]
    assert asked["additional_parameters"] == {"requeue": True, "exclude": "n1"}


def test_packing_says_how_many_tasks_with_how_many_runs() -> None:
    profile = SlurmProfile(runs_per_task=4, array_parallelism=2, partition="gpu", gpus=1)
    assert profile.packing(10) == (
        "3 array tasks of up to 4 runs, at most 2 at a time; each asks for partition gpu, 2 CPUs, GPUs 1, 1:00:00"
    )


def test_without_sbatch_there_is_one_clear_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    code, out, err = command(*STUDY, "--executor", "slurm")
    assert (code, out) == (2, "")
    assert err == (
        "petl-bench: no sbatch on PATH: this is no login node of a SLURM cluster, or its module is not loaded\n"
    )


def test_options_of_a_cluster_want_the_executor(command: Command) -> None:
    code, _, err = command(*STUDY, "--detach")
    assert (code, err) == (2, "petl-bench: --detach: only with --executor slurm\n")


def test_a_plan_says_what_is_left_to_run(command: Command, tmp_path: Path) -> None:
    results = ("--results", str(tmp_path / "results"))
    code, out, err = command(*STUDY, *results, "--plan")
    assert (code, err) == (0, "")
    assert out.startswith("2 runs, 0 on record\nabout ")
    assert not (tmp_path / "results").exists()
