"""Submitting where the environment says otherwise, and where sbatch is cut off: a job is never lost from sight."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from petl_bench.cluster import submit
from petl_bench.cluster.environment import for_submitting
from petl_bench.cluster.submission import submissions, written_down
from tests.studies import Command

STUDY: tuple[str, ...]
STUDY = ("run", "--methods", "linear", "--dataset", "synthetic", "--limit", "1", "--backbone", "mini_random")
STUDY += ("--epochs", "1", "--device", "cpu", "--executor", "slurm", "--detach")
SBATCH = """#!/bin/bash
env > {here}/environment
cp "$1" {here}/script
if [ -e {here}/accepts ]; then
  name=$(sed -n 's/^#SBATCH --job-name=//p' "$1")
  if grep -q '^#SBATCH --array=' "$1"; then printf '7_0|%s|PENDING|None||0:00\\n7_1|%s|PENDING|None||0:00\\n' $name $name
  else echo "7|$name|PENDING|None||0:00"; fi > {here}/queue
fi
{says}
"""
SQUEUE = """#!/bin/bash
env > {here}/squeue-environment
[ -e {here}/silent ] && {{ echo 'squeue: error: no controller' >&2; exit 1; }}
cat {here}/queue 2>/dev/null
exit 0
"""


class Stub:
    """Programs of a controller that fails as it is told to."""

    def __init__(self, here: Path) -> None:
        self.here = here
        for name in ("srun", "scancel", "scontrol"):
            self.program(name, "#!/bin/bash\n")
        self.program("squeue", SQUEUE.format(here=here))
        self.sbatch("echo Submitted batch job 7", accepts=True)

    def program(self, name: str, text: str) -> None:
        (self.here / name).write_text(text)
        (self.here / name).chmod(0o755)

    def sbatch(self, says: str, *, accepts: bool) -> None:
        self.program("sbatch", SBATCH.format(here=self.here, says=says))
        (self.here / "accepts").touch() if accepts else (self.here / "accepts").unlink(missing_ok=True)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(submit, "LOOKS_AFTER", (0.0, 0.0))
    return Stub(tmp_path / "bin")


@pytest.mark.parametrize(
    "says",
    [
        "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1",
        "echo '{\"job\": 7}'",
    ],
    ids=["socket times out", "no number"],
)
@pytest.mark.parametrize("folds", ["1", "1,2"])
def test_a_job_that_was_accepted_without_saying_so_is_adopted(
    stub: Stub, tmp_path: Path, command: Command, says: str, folds: str
) -> None:
    stub.sbatch(says, accepts=True)
    study = (*STUDY, "--folds", folds, "--results", str(tmp_path / "results"))
    code, out, err = command(*study)
    assert (code, err) == (0, "")
    assert "job 7 was accepted" in out
    ((folder, submission),) = submissions(tmp_path / "results")
    assert submission.numbers == (["7"] if folds == "1" else ["7_0", "7_1"])
    assert len(list((folder / "parts").iterdir())) == len(submission.numbers)
    stub.sbatch("exit 1", accepts=False)
    assert "in SLURM's queue already" in command(*study)[1]


@pytest.mark.parametrize("says", ["echo 'sbatch: error: no' >&2; exit 1", "echo nothing", "kill -9 $$"])
def test_a_job_that_was_not_accepted_leaves_no_trace_and_one_line(
    stub: Stub, tmp_path: Path, command: Command, says: str
) -> None:
    stub.sbatch(says, accepts=False)
    code, _, err = command(*STUDY, "--folds", "1", "--results", str(tmp_path / "results"))
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("petl-bench: sbatch refuses 1 array task of one run")
    assert list(written_down(tmp_path / "results")) == []


def test_ctrl_c_while_sbatch_runs_leaves_a_job_that_is_found_again(
    stub: Stub, tmp_path: Path, command: Command
) -> None:
    stub.sbatch("kill -INT $PPID; sleep 0.2", accepts=True)
    study = (*STUDY, "--folds", "1,2", "--results", str(tmp_path / "results"))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
    try:
        code, out, _ = command(*study)
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    assert "job 7 was accepted" in out
    assert "2 pending" in command("status", "--results", str(tmp_path / "results"))[1]
    assert "in SLURM's queue already" in command(*study)[1]


def test_a_job_of_which_a_silent_controller_told_nothing_is_found_once_it_answers(
    stub: Stub, tmp_path: Path, command: Command
) -> None:
    stub.sbatch("touch $(dirname $0)/silent; echo 'Socket timed out' >&2; exit 1", accepts=True)
    study = (*STUDY, "--folds", "1,2", "--results", str(tmp_path / "results"))
    code, _, err = command(*study)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "the same command looks for it once that can" in err
    (stub.here / "silent").unlink()
    assert "in SLURM's queue already" in command(*study)[1]
    assert "2 pending" in command("status", "--results", str(tmp_path / "results"))[1]
    assert command("cancel", "--results", str(tmp_path / "results"))[1] == "cancelled 2 tasks: 7_0, 7_1\n"


def test_variables_stand_above_nothing_that_tasks_are_found_by(
    stub: Stub, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("slurm.toml").write_text('partition = "gpu"\n')
    ours = {"SBATCH_JOB_NAME": "mine", "SBATCH_TIMELIMIT": "1", "SBATCH_OUTPUT": "out", "SBATCH_PARTITION": "cpu"}
    inherited = {"SLURM_JOB_ID": "3", "SLURM_ARRAY_JOB_ID": "3", "SLURM_ARRAY_TASK_ID": "5", "SLURM_RESTART_COUNT": "2"}
    filters = {"SQUEUE_STATES": "FAILED", "SQUEUE_USERS": "nobody", "SCANCEL_STATE": "RUNNING"}
    kept = {"SLURM_CONF": "/somewhere", "SBATCH_ACCOUNT": "audio"}
    for name, value in {**ours, **inherited, **filters, **kept}.items():
        monkeypatch.setenv(name, value)
    code, _, err = command(*STUDY, "--folds", "1", "--results", str(tmp_path / "results"))
    assert (code, err) == (0, "")
    seen = dict(re.findall(r"^([^=\n]+)=(.*)$", (stub.here / "environment").read_text(), re.MULTILINE))
    assert not seen.keys() & {*ours, *inherited, *filters}
    assert {name: seen[name] for name in kept} == kept
    asked = (stub.here / "squeue-environment").read_text()
    assert "SQUEUE_" not in asked
    assert "SCANCEL_" not in asked
    assert {name: os.environ[name] for name in {**ours, **inherited}} == {**ours, **inherited}


def test_what_a_site_says_about_srun_is_passed_on_from_a_login_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_MPI_TYPE", "pmix")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert for_submitting({})["SLURM_MPI_TYPE"] == "pmix"
