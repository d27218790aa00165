"""What a running lab writes down about itself, and whether that is still true."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lab import kernel, paths
from lab.errors import LabError

READY = "ready"


@dataclass(frozen=True)
class Process:
    """A process by pid and start time: a pid alone may be someone else's by now."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Process:
        start = kernel.process_start(pid)
        if start is None:
            raise LabError(f"process {pid} of the lab died while the lab was being made")
        return cls(pid, start)

    @property
    def alive(self) -> bool:
        return kernel.process_start(self.pid) == self.start


@dataclass(frozen=True)
class State:
    name: str
    nonce: str
    boot_id: str
    phase: str
    holder: Process
    keeper: Process
    site: str
    bases: dict[str, str]
    described: str
    hosts: dict[str, Process] = field(default_factory=dict)
    broken: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        return self.boot_id == kernel.boot_id() and self.holder.alive

    def with_host(self, name: str, process: Process) -> State:
        return replace(self, hosts={**self.hosts, name: process})


def read(name: str) -> State | None:
    """The state as written, alive or not; None if there is none (or one cut short by a crash)."""
    try:
        data: dict[str, Any] = json.loads((paths.run_dir(name) / "state.json").read_text())
        return State(
            name=data["name"],
            nonce=data["nonce"],
            boot_id=data["boot_id"],
            phase=data["phase"],
            holder=Process(**data["holder"]),
            keeper=Process(**data["keeper"]),
            site=data["site"],
            bases=data["bases"],
            described=data["described"],
            hosts={host: Process(**process) for host, process in data["hosts"].items()},
            broken=tuple(data["broken"]),
        )
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, KeyError, TypeError):
        return None


def running(name: str) -> State | None:
    """The state of a lab that is up: ready, and its holder is the very process that was started."""
    state = read(name)
    return state if state is not None and state.phase == READY and state.alive else None


def write(state: State) -> None:
    target = paths.run_dir(state.name) / "state.json"
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(state), indent=1) + "\n")
    partial.replace(target)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Only one command at a time changes a lab; the lock goes with the process that holds it."""
    path = paths.home() / "run" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = _lock(path, name)
    try:
        yield
    finally:
        if not paths.run_dir(name).exists():
            path.unlink(missing_ok=True)
        os.close(fd)


def _lock(path: Path, name: str) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another command on the lab {name}", file=sys.stderr, flush=True)
            fcntl.flock(fd, fcntl.LOCK_EX)
        # Whoever held it before may have removed the file with the lab: then this lock is on nothing.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        os.close(fd)
