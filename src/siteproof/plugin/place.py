"""Where a worker says which check it drives, for the controller to read when the worker has died."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

_LONGEST = 4096


class Place:
    """One worker's file in the directory of the run."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._descriptor = os.open(_path_of(directory, worker), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def at(self, nodeid: str) -> None:
        """Empty for none."""
        with suppress(OSError):  # where the disk is full, a check that kills is not known by name
            os.pwrite(self._descriptor, nodeid.encode("utf-8", "backslashreplace")[:_LONGEST] + b"\0", 0)


PLACE = pytest.StashKey[Place]()
"""A worker's alone, of its config."""


def drives(config: pytest.Config, nodeid: str) -> None:
    """Say which check this process drives now, empty for none, for whoever finds it dead."""
    if (place := config.stash.get(PLACE, None)) is not None:
        place.at(nodeid)


def died_at(directory: Path, worker: str) -> str:
    """The check that a worker drove when it died; empty if it drove none."""
    try:
        return _path_of(directory, worker).read_bytes().partition(b"\0")[0].decode("utf-8", "replace")
    except OSError:
        return ""


def forget(directory: Path) -> None:
    """Nobody needs to know it after the run."""
    for path in directory.glob(".worker-*"):
        path.unlink(missing_ok=True)


def _path_of(directory: Path, worker: str) -> Path:
    return directory / f".worker-{worker}"
