"""One process and all that it starts: how long, how much CPU, how much memory."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_END_S = 10.0


@dataclass(frozen=True)
class Sample:
    wall_s: float
    cpu_s: float
    """Of the process and everything below it; not of the sshds."""
    peak_mb: float
    """Of its largest process."""
    sshd_cpu_s: float
    others_cpu_s: float
    """What the rest of the machine took of the CPUs meanwhile."""
    status: int
    output: str


class TookTooLong(Exception):
    """Killed at the limit."""


def measure(
    line: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    sshds: Collection[int],
    limit_s: float = 600,
) -> Sample:
    """Run `line` to its end. Raises TookTooLong.

    Call it in the first process of a pid namespace only: what the run leaves behind (an ssh ControlMaster) becomes a
    child of that process, is ended, and its CPU time counts with the run's.
    """
    log = directory / "output"
    children, servers, machine = _children_cpu_s(), _sshd_cpu_s(sshds), _machine_cpu_s()
    begun = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            line, cwd=directory, env=dict(environment), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    timer = threading.Timer(limit_s, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - begun
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    _end_stragglers(sshds)
    if wall_s >= limit_s:
        raise TookTooLong
    cpu_s, sshd_cpu_s = _children_cpu_s() - children, _sshd_cpu_s(sshds) - servers
    return Sample(
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_mb=usage.ru_maxrss / 1024,
        sshd_cpu_s=sshd_cpu_s,
        others_cpu_s=max(0.0, _machine_cpu_s() - machine - cpu_s - sshd_cpu_s),
        status=process.returncode,
        output=log.read_text(errors="replace"),
    )


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _sshd_cpu_s(pids: Collection[int]) -> float:
    """Of the daemons and the sessions that have ended."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in pids) / _TICKS


def _machine_cpu_s() -> float:
    user, nice, system, _idle, _wait, irq, soft, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + soft) / _TICKS


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: what is before them may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _end_stragglers(keep: Collection[int]) -> None:
    end = time.monotonic() + _END_S
    while stragglers := [pid for pid in _orphans() if pid not in keep]:
        for pid in stragglers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if time.monotonic() < end else signal.SIGKILL)
        time.sleep(0.02)
        for pid in stragglers:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _orphans() -> Iterator[int]:
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):
                if int(_stat(int(path.name))[1]) == os.getpid():
                    yield int(path.name)
