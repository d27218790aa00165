"""A shell behind a program of this machine: bounded reads from its pipes, and an end to it here and there."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress

from siteproof.transport.backend import Backend
from siteproof.transport.shell import Shell

_CHUNK = 1 << 20
_LOOK_S = 0.1
"""How often to see whether the program has ended while a child of it keeps the pipes open."""
_LAST_WORDS_S = 0.5
_END_S = 3.0
_END_TREE = """end() {
kill -s STOP "$1"
for stat in /proc/[0-9]*/stat; do
{ read -r line <"$stat"; } 2>/dev/null || continue
rest=${line##*) }; rest=${rest#* }
[ "${rest%% *}" = "$1" ] && (end "${line%% *}")
done
kill -s KILL "$1"
}
"""
"""A process and all below it. Not its group: not every container runtime gives what it executes one of its own."""


class ProcessShell(Shell):
    """Nothing of it is left on this machine after `close`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._selector = selectors.DefaultSelector()
        self._to_send = bytearray()
        self._head: bytes | None = b""
        self._killed = False
        self._far_pid: int | None = None
        """The shell's, where it runs."""

    def _execute(self, line: str) -> None:
        self._process = subprocess.Popen(
            self._backend.command_line(f"echo $$; {line}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal to ask at, and Ctrl-C is for us
        )
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        self._open = [pipe for pipe in (self._process.stdout, self._process.stderr) if pipe is not None]
        for pipe in self._open:
            self._selector.register(pipe, selectors.EVENT_READ)

    def send(self, data: bytes) -> None:
        """Goes out as it is taken, while somebody reads: who reads nothing is not waited for."""
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return
        if not self._to_send:
            self._selector.register(stdin, selectors.EVENT_WRITE)
        self._to_send += data

    def _end_input(self) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return
        if self._to_send:
            self._selector.unregister(stdin)
            self._to_send.clear()
        with suppress(OSError):
            stdin.close()

    def read(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        end = time.monotonic() + timeout_s
        last_words = None
        while self._open:
            left = end - time.monotonic()
            stdout, stderr = self._take(max(0.0, min(left, _LOOK_S)))
            if stdout or stderr:
                self._look_for_pid(stdout)
                return stdout, stderr
            if self._process.poll() is not None:
                last_words = last_words or time.monotonic() + _LAST_WORDS_S
                end = min(end, last_words)
            if self._open and left <= 0:
                return None if last_words else (b"", b"")
        return None

    def _take(self, timeout_s: float) -> tuple[bytes, bytes]:
        """What is there now, after some time at most; and sends meanwhile."""
        got = {self._process.stdout: b"", self._process.stderr: b""}
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._process.stdin:
                self._pass_on()
                continue
            chunk = os.read(key.fd, _CHUNK)
            got[key.fileobj] = chunk  # type: ignore[index]
            if not chunk:
                self._selector.unregister(key.fileobj)
                self._open = [pipe for pipe in self._open if pipe is not key.fileobj]
        return got[self._process.stdout], got[self._process.stderr]

    def _pass_on(self) -> None:
        stdin = self._process.stdin
        if stdin is None:
            return
        try:
            del self._to_send[: os.write(stdin.fileno(), self._to_send[:_CHUNK])]
        except BrokenPipeError:
            self._end_input()  # what it has said tells why
            return
        if not self._to_send:
            self._selector.unregister(stdin)

    def _look_for_pid(self, stdout: bytes) -> None:
        """In the first line, which comes before the first mark and is nobody's answer."""
        if self._head is None:
            return
        self._head += stdout
        line, newline, _ = self._head.partition(b"\n")
        if newline:
            self._far_pid = int(line) if line.isdigit() else None
            self._head = None

    @property
    def started(self) -> bool:
        """A shell has said a word."""
        return self._far_pid is not None

    @property
    def exit_status(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS_S)
        status = self._process.returncode
        return status if status is not None and status >= 0 else None

    def kill(self) -> None:
        if self._process.poll() is None:
            self._end_there()  # first, while nobody reads: what cannot write does not get to its next command
            self._end_here()

    def _end_there(self) -> None:
        """A container's shell goes on with its script when the program that led to it has been killed."""
        if self._far_pid is None or not self._backend.tool:
            return
        line = self._backend.command_line(f"{_END_TREE} end {self._far_pid}")
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_END_S,
                check=False,
            )

    def _end_here(self) -> None:
        if self._process.poll() is None:
            self._killed = True
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        if not hasattr(self, "_process"):
            return
        if (self._process.poll() or 0) < 0 and not self._killed:
            self._end_there()
        self._end_here()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS_S)
