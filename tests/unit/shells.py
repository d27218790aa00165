"""The shells of this machine that a host may have as its `sh`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

POSIX: tuple[tuple[str, ...], ...] = tuple(
    words
    for words in (("dash",), ("bash",), ("bash", "--posix"), ("busybox", "sh"), ("ksh",), ("mksh",))
    if shutil.which(words[0])
)
"""Command lines. No two machines have the same; dash and bash are everywhere."""


def takes_tools_of_path(words: Sequence[str]) -> bool:
    """Not what Debian builds BusyBox for: a shell that has its own `id` before any other.

    Where a test puts tools of its own in PATH, such a shell asks the real ones.
    """
    found = subprocess.run([*words, "-c", "command -v id"], capture_output=True, text=True, check=True).stdout
    return found.startswith("/")
