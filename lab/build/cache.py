"""Where built parts live: one directory a part, named by the hash of what it was made from.

A part is made in a hidden sibling and renamed into place, so a directory that exists is whole, whenever the build
that made it was killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.build.errors import BuildError

_UNFINISHED = ".building-"


def home() -> Path:
    """The lab's directory for everything it keeps."""
    configured = os.environ.get("SITEPROOF_LAB_HOME")
    return Path(configured).absolute() if configured else Path.home() / ".cache" / "siteproof-lab"


def digest(inputs: Mapping[str, object]) -> str:
    """The name of what these inputs make: equal inputs, in whatever order they are written, give equal names."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def place(part: str, inputs: Mapping[str, object]) -> Path:
    return home() / f"{part}-{digest(inputs)}"


def unfinished(target: Path) -> Path:
    return target.with_name(f"{_UNFINISHED}{target.name}")


def publish(made: Path, target: Path) -> None:
    """Put a finished part in its place."""
    made.chmod(0o755)
    made.rename(target)


@contextmanager
def locked(progress: Callable[[str], None]) -> Iterator[None]:
    """One build at a time: a second one waits, and then mostly finds everything there."""
    top = home()
    try:
        top.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(top / "build.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise BuildError(f"the lab's directory {top} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("build: another build is at work here, waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep(keep: Collection[Path] = ()) -> None:
    """Remove what killed builds left behind, except what can be taken up again.

    Only for the holder of the lock: then no unfinished directory belongs to a living build.
    """
    for left in home().glob(f"{_UNFINISHED}*"):
        if left not in keep:
            remove(left)


def remove(directory: Path) -> None:
    """Remove a tree, also one in which the dying processes of a killed build still write for a moment."""
    for _ in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)
    raise BuildError(f"the leftover of an earlier build cannot be removed: {directory}")
