"""Programs of this machine that we start: none outlives us, however we end, kill -9 included."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any

# Background jobs of sh have no stdin but /dev/null, hence the way over descriptor 3.
_GUARDED = """exec 3<&0
{ trap '' TERM; read -r _; kill 0; rm -rf -- %s; kill -s KILL 0; } <&3 >/dev/null 2>&1 &
exec "$@" %s 3<&-"""


class Child:
    """One program, in a session and a process group of its own: there is no terminal to ask at, and Ctrl-C is for us.

    It and all that it starts, unless that leaves the group, are killed by `end`. Should we not come to that, a guard in
    the group does: it notices that the other end of its pipe has closed, which the kernel does for us.
    `carried` is the one socket that is both its stdin and its stdout; else its stdin is empty. `scratch` is a directory
    that we remove ourselves, and the guard where we cannot.
    """

    def __init__(self, command: Sequence[str], *, carried: int | None = None, scratch: str = "", **named: Any) -> None:
        self._ending = threading.Lock()
        alive, self._alive = os.pipe()
        stdin = "</dev/null" if carried is None else "<&1"
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                ["/bin/sh", "-c", _GUARDED % (shlex.quote(scratch), stdin), "sh", *command],
                stdin=alive,
                stdout=subprocess.PIPE if carried is None else carried,
                stderr=subprocess.PIPE,
                start_new_session=True,
                **named,
            )
        except BaseException:
            os.close(self._alive)
            raise
        finally:
            os.close(alive)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def stderr(self) -> IO[bytes]:
        assert self._process.stderr is not None  # noqa: S101 - for mypy: it was asked for
        return self._process.stderr

    def communicate(self, timeout_s: float) -> tuple[bytes, bytes]:
        """What it printed, once it has ended. Raises subprocess.TimeoutExpired, after which it may be called again."""
        return self._process.communicate(timeout=timeout_s)

    @property
    def status(self) -> int | None:
        """The program's, as a shell tells it; None while it runs."""
        return self._process.poll()

    def end(self) -> None:
        """Twice is as good as once, and by any thread. Its streams stay readable."""
        with self._ending:
            if self._alive < 0:
                return
            # Nobody has waited for the guard, so the group is still the one that we started.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            os.close(self._alive)
            self._alive = -1
            self._process.wait()
