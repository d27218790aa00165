"""The lab's control groups: every process of a lab is in one of them, so that removing a lab misses none."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lab.errors import LabError

DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "memory.oom.group")


def create(path: Path, owner: int | None = None) -> Path:
    """A control group that belongs to `owner`; without one, the lab's own, which hands its controllers down."""
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot make the control group {path}: {error.strerror}") from error
    if owner is not None:
        os.chown(path, owner, owner)
        for name in DELEGATED:
            if (path / name).exists():
                os.chown(path / name, owner, owner)
    else:
        # On a machine with version 2 only, the hosts get the controllers the lab's own directory has.
        for controller in (path / "cgroup.controllers").read_text().split():
            (path / "cgroup.subtree_control").write_text(f"+{controller}")
    return path


def remove(top: Path, deadline: float = 10.0) -> None:
    """Kill everything in `top` and remove it; silent if there is nothing."""
    if not top.exists():
        return
    (top / "cgroup.kill").write_text("1")
    end = time.monotonic() + deadline
    while not _empty(top):
        if time.monotonic() > end:
            raise LabError(f"processes in {top} do not die: {(top / 'cgroup.procs').read_text().split()}")
        time.sleep(0.01)
    for directory, _, _ in os.walk(top, topdown=False):
        Path(directory).rmdir()


def _empty(top: Path) -> bool:
    return "populated 0" in (top / "cgroup.events").read_text()
