"""Files of a run: whole or not there at all, and readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write(path: Path, text: str | Iterable[str]) -> None:
    """Replace `path` in one step. A long text comes in pieces and is never in memory as a whole."""
    temporary = _beside(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            file.writelines([text] if isinstance(text, str) else text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def point(link: Path, directory: Path) -> None:
    """Make `link` a symlink to `directory` beside it, in one step.

    A real directory of that name stays as it is, since it is not ours.
    """
    if link.is_dir() and not link.is_symlink():
        return
    temporary = _beside(link)
    temporary.symlink_to(directory.name)
    try:
        temporary.replace(link)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")
