"""A Slurm of the tests' own on this machine: munged, slurmctld and slurmd by hand, in one folder, on ports of its own.

``python tests/executors/loopback_slurm.py FOLDER`` starts one, says which SLURM_CONF to export, and stops it when its
input ends or at SIGTERM.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
KillWait=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def lacking() -> str:
    """Why no Slurm can be started here; empty where one can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "slurmd wants to be root"


@dataclass
class LoopbackSlurm:
    """One node that believes to have so many CPUs. Raises RuntimeError where it does not come up."""

    folder: Path
    cpus: int = 4
    started: float = 0.0
    """When slurmctld was; it looks for jobs at their time limit every 30 seconds from then on."""
    _closing: ExitStack = field(default_factory=ExitStack)

    @property
    def environment(self) -> dict[str, str]:
        """What a process must find in its environment to use it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        host = socket.gethostname().partition(".")[0]
        ports = _free_ports(2)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=host, ctld_port=ports[0], slurmd_port=ports[1], folder=self.folder, cpus=self.cpus
            )
        )
        files = {"socket": "munge.socket", "key-file": key.name, "seed-file": "munge.seed"}
        files |= {"pid-file": "munged.pid", "log-file": "munged.log"}
        munged = [f"--{option}={self.folder / name}" for option, name in files.items()]
        try:
            self._start("munged", "--foreground", "--force", *munged)
            self._until("munge socket", (self.folder / "munge.socket").exists)
            self.started = time.monotonic()
            self._start("slurmctld", "-D", "-i")
            self._start("slurmd", "-D", "-N", host)
            self._until("idle node", lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"))
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.ask("scancel", "--signal=KILL", "--full", "-u", "root")
        self._closing.close()

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(command, env=self._whole_environment(), capture_output=True, text=True, check=False)
        return done.stdout

    def _start(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.out").open("w") as out:
            process = subprocess.Popen(
                [program, *arguments], env=self._whole_environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self._closing.callback(_stop, process)

    def _until(self, what: str, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not is_so():
            if time.monotonic() > deadline:
                said = "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("*.out")))
                raise RuntimeError(f"no {what} after 30 seconds\n{said}")
            time.sleep(0.05)

    def _whole_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "PATH": _path()}


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with LoopbackSlurm(Path(sys.argv[1]).resolve()) as slurm:
        print(f"export SLURM_CONF={slurm.environment['SLURM_CONF']}", flush=True)
        sys.stdin.read()
