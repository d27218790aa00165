"""Files that somebody else may have made: read if they are files, and never waited for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(file: Path) -> BinaryIO:
    """Open it for reading. OSError for what is no file: nobody may ever write to a named pipe."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a file", str(file))
    return os.fdopen(descriptor, "rb")


def read_regular(file: Path) -> bytes:
    """All of it."""
    with open_regular(file) as opened:
        return opened.read()
