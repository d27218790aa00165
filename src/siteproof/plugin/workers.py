"""Processes that share a run's checks, and what becomes of a check that ends the process that runs it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from siteproof.plugin.refusals import refuse_optimized

_LONGEST = 4096


class Place:
    """A file in which a worker says which check it drives. When the worker has died, the controller reads it."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._descriptor = os.open(path_of(directory, worker), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def at(self, nodeid: str) -> None:
        """Empty for none."""
        with suppress(OSError):  # where the disk is full, a check that kills is not known by name
            os.pwrite(self._descriptor, nodeid.encode("utf-8", "backslashreplace")[:_LONGEST] + b"\0", 0)


def path_of(directory: Path, worker: str) -> Path:
    return directory / f".worker-{worker}"


def died_at(directory: Path, worker: str) -> str:
    """The check that a worker drove when it died; empty if it drove none."""
    try:
        return path_of(directory, worker).read_bytes().partition(b"\0")[0].decode("utf-8", "replace")
    except OSError:
        return ""


def forget(directory: Path) -> None:
    """Nobody needs to know it after the run."""
    for path in directory.glob(".worker-*"):
        path.unlink(missing_ok=True)


def may_die(node: Any) -> None:
    """What is sent to a worker that has just died is lost; the controller hears of its death a moment later."""
    send = node.sendcommand

    def send_or_lose(name: str, **given: object) -> None:
        with suppress(OSError):
            send(name, **given)

    node.sendcommand = send_or_lose


def refuse_optimized_worker(gateway: Any) -> None:
    """Ask a worker's Python, before it runs anything of ours. Raises BadInput.

    One that does not answer is not refused here: a worker also looks itself when it joins.
    """
    channel = gateway.remote_exec("import sys; channel.send(sys.flags.optimize)")
    try:
        level = channel.receive(30)
        channel.waitclose(30)
    except Exception:  # noqa: BLE001 - whatever execnet has: then nothing is known of it
        return
    refuse_optimized(level, f"the Python of worker {gateway.id}")
