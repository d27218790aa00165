"""What the test suite needs of a lab that runs: its state, and the operator's place in it."""

from __future__ import annotations

import os
from pathlib import Path

from lab import kernel
from lab import state as states
from lab.errors import LabError
from lab.state import State

__all__ = ["LabError", "State", "enter_operator", "state"]


def state(name: str) -> State | None:
    """The lab's state if it is up: its data path worked, and its holder is still the process that was started."""
    return states.running(name)


def enter_operator(name: str) -> None:
    """Move this process to the operator: its network, host name and resolver, with the machine's files and user.

    To be called before any thread is started, since a thread that exists would stay behind.
    """
    current = states.running(name)
    if current is None:
        raise LabError(f"the lab {name} is not up: python -m lab up --name {name}")
    threads = os.listdir("/proc/self/task")  # noqa: PTH208
    if len(threads) > 1:
        raise LabError(f"cannot join the lab's operator: this process has {len(threads)} threads already")
    place = Path.cwd()
    process = current.hosts["operator"]
    kinds = {"net": kernel.CLONE_NEWNET, "uts": kernel.CLONE_NEWUTS, "mnt": kernel.CLONE_NEWNS}
    opened = []
    try:
        for kind in kinds:
            opened.append(os.open(f"/proc/{process.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC))
        for fd, flag in zip(opened, kinds.values(), strict=True):
            kernel.setns(fd, flag)
    except OSError as error:
        raise LabError(f"cannot join the lab's operator: {error.strerror}; this takes root") from error
    finally:
        for fd in opened:
            os.close(fd)
    os.chdir(place)
