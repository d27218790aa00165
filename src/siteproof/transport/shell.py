"""A shell on the host: its stdin, and both of its streams without a thread for each."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import paramiko

from siteproof.errors import PrivilegeRefused, ProbeError, ToolMissing
from siteproof.transport.wire import request

_CHUNK = 1 << 20
_SEND_S = 10.0
_LAST_WORDS_S = 0.5
_ROOT_SHELL = (
    "exec env LC_ALL=C sudo -S -p '' sh -c "
    '\'printf "%s\\n" {nonce}; while IFS= read -r line; do [ "$line" = {nonce} ] && exec sh -s; done\''
)
"""Says when sudo has let us in. Skips the password where sudo did not want it: a shell would take it for a command."""


class Shell(ABC):
    """Reads never wait longer than they are told to."""

    @abstractmethod
    def _execute(self, line: str) -> None:
        """Without waiting for anyone's word: what is sent can follow at once, and a refusal ends both streams."""

    @abstractmethod
    def send(self, data: bytes) -> None: ...

    @abstractmethod
    def _end_input(self) -> None: ...

    @abstractmethod
    def read(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        """What is new on stdout and stderr; nothing on both after `timeout_s`; None when no more can come.

        That is when both have ended, or when the shell has and what it wrote has had the time to arrive.
        """

    @property
    @abstractmethod
    def exit_status(self) -> int | None:
        """None where nobody tells; it may be told a little after the streams have ended."""

    @abstractmethod
    def kill(self) -> None:
        """The shell too, so that it does not go on with the rest of its script."""

    def start(self) -> None:
        self._execute("exec sh -s")

    def start_as_root(self, host: str, nonce: str, password: str, timeout_s: float) -> None:
        """Raises PrivilegeRefused with sudo's words, or ToolMissing. The password goes through stdin, once."""
        self._execute(_ROOT_SHELL.format(nonce=nonce))
        self.send(f"{password}\n".encode())
        stdout, stderr = b"", b""
        end = time.monotonic() + timeout_s
        while nonce.encode() not in stdout:
            got = self.read(end - time.monotonic())
            if got is None or got == (b"", b""):
                raise self._no_root_shell(host, stderr.decode("utf-8", "replace").splitlines())
            stdout, stderr = stdout + got[0], stderr + got[1]
            if b"try again" in stderr:
                self._end_input()
        self.send(f"{nonce}\n".encode())

    def _no_root_shell(self, host: str, errors: list[str]) -> ProbeError:
        if self.exit_status in (126, 127):
            return ToolMissing(f"{host} has no sudo that runs: {errors[-1] if errors else 'not a word'}", host=host)
        said = [line for line in errors if line.startswith("sudo:")]
        return PrivilegeRefused(f"{host}: {said[-1] if said else 'sudo did not open a root shell'}", host=host)


class Bell(threading.Event):
    """Rings when either stream has something. paramiko clears it when one of them is empty, which says nothing."""

    def clear(self) -> None:
        pass

    def silence(self) -> None:
        super().clear()


class Exit(threading.Event):
    """Set when the shell has ended; rings the bell, since a child may keep the streams open long after."""

    def __init__(self, bell: Bell) -> None:
        super().__init__()
        self._bell = bell

    def set(self) -> None:
        super().set()
        self._bell.set()


class ChannelShell(Shell):
    """A shell that sshd runs."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._bell = Bell()
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)
        self._exit = channel.status_event = Exit(self._bell)

    def _execute(self, line: str) -> None:
        request(self._channel, "exec", line, reply=True)

    def _end_input(self) -> None:
        self._channel.shutdown_write()

    def send(self, data: bytes) -> None:
        self._channel.settimeout(_SEND_S)
        self._channel.sendall(data)

    def read(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        end = time.monotonic() + timeout_s
        last_words = None
        self._channel.settimeout(0.0)
        while True:
            self._bell.silence()
            stdout, stderr = _take(self._channel.recv), _take(self._channel.recv_stderr)
            if stdout or stderr:
                return stdout or b"", stderr or b""
            if stdout is None and stderr is None:
                return None
            if self._exit.is_set():
                last_words = last_words or time.monotonic() + _LAST_WORDS_S
                end = min(end, last_words)
            if not self._bell.wait(max(0.0, end - time.monotonic())):
                return None if self._exit.is_set() else (b"", b"")

    @property
    def refused(self) -> bool:
        """sshd did not run the shell at all."""
        return self._channel.closed and not self._channel.event_ready

    @property
    def exit_status(self) -> int | None:
        self._exit.wait(_LAST_WORDS_S)
        return self._channel.exit_status if self._channel.exit_status >= 0 else None

    def kill(self) -> None:
        """Not every sshd takes the signal; all close."""
        request(self._channel, "signal", "KILL", reply=False)


def _take(receive: Callable[[int], bytes]) -> bytes | None:
    """What is there now, b"" if nothing, None at the end."""
    try:
        return receive(_CHUNK) or None
    except TimeoutError:
        return b""
