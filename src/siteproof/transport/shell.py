"""A shell on the host: its stdin, and both of its streams without a thread for each."""

from __future__ import annotations

import re
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import paramiko

from siteproof.errors import PrivilegeRefused, ProbeError, ToolMissing
from siteproof.transport.channel import send_all
from siteproof.transport.wire import one_line, request

_CHUNK = 1 << 20
_SEND_S = 30.0
"""For all of a script: its 256 KiB take so long on a line of 10 kB/s."""
_LAST_WORDS_S = 0.5
_MOST_SAID = 1 << 16
"""Of either stream before root's shell is there; a lecture has a few hundred bytes."""


class RootPrompt:
    """The words with which sudo asks for the password, and those that root's shell says first, for one shell.

    Whoever echoes what he is told never shows them: the line has their halves, far apart and the other way round, and
    only a shell that runs it can put them together. `SUDO_PROMPT` and not `-p`, which would put our words also over
    what PAM asks otherwise, such as a one-time password or a new one. sudo-rs says its own words around ours.
    """

    _LINE = (
        """exec sh -c 'echo >&2; exec env LC_ALL=C SUDO_PROMPT="$2$1" {} -S sh -c "$3" sh "$2" "$1"' sh {} {} """
        """'echo "$2$1"; while IFS= read -r line; do [ "$line" = "$2$1" ] && exec sh -s; done'"""
    )

    def __init__(self, sudo: str = "sudo") -> None:
        first, second = secrets.token_hex(16), secrets.token_hex(16)
        self.line = self._LINE.format(sudo, first, second)
        self.root = f"{first}{second}\n".encode()
        """Root's shell then skips all up to the same line: it would take what sudo left of a password for a command."""
        self._asks = re.compile(rb"(?:\A|\n)(?:%b|\[sudo: %b\] Password: ?)\Z" % ((f"{second}{first}".encode(),) * 2))

    def asks(self, stderr: bytes) -> bool:
        """Whether sudo waits for the password: its words stand at the end, in a line of their own."""
        return self._asks.search(stderr) is not None

    def is_there(self, stdout: bytes) -> bool:
        """Whether root's shell is."""
        return b"\n" + self.root in b"\n" + stdout


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

    def start_as_root(self, host: str, password: str, timeout_s: float, sudo: str = "sudo") -> None:
        """The password goes through stdin, once, when sudo has asked for it in our words, and never otherwise.

        Raises PrivilegeRefused with what was said or asked instead, or ToolMissing.
        """
        prompt = RootPrompt(sudo)
        self._execute(prompt.line)
        stdout, stderr, answered = b"", b"", 0
        end = time.monotonic() + timeout_s
        while not prompt.is_there(stdout):
            got = self.read(max(0.0, end - time.monotonic()))
            late = got == (b"", b"") or time.monotonic() > end
            if got is None or late or max(len(stdout), len(stderr)) > _MOST_SAID:
                error = self._no_root_shell(host, stderr, answered, timeout_s)
                self.kill()
                raise error
            stdout, stderr = stdout + got[0], stderr + got[1]
            if prompt.asks(stderr[answered:]):
                if answered:
                    self._end_input()  # it was the wrong one; sudo then says so
                else:
                    self.send(f"{password}\n".encode())
                answered = len(stderr)
        self.send(prompt.root)

    def _no_root_shell(self, host: str, stderr: bytes, answered: int, timeout_s: float) -> ProbeError:
        *lines, open_line = stderr[answered:].decode("utf-8", "replace").split("\n")
        lines = [line for each in lines if (line := one_line(each))]
        status = self.exit_status
        if status in (126, 127):
            return ToolMissing(f"{host} has no sudo that runs: {lines[-1] if lines else 'not a word'}", host=host)
        said = [line for line in lines if line.startswith("sudo:")][-1:]
        if status is None and open_line.strip():
            said += [f"asked is {one_line(open_line)!r}, which is not for us to answer"]
        if not said:
            said = [f"no root shell within {timeout_s:g} s" if status is None else "sudo did not open a root shell"]
            said += [f"the last word was {line!r}" for line in lines[-1:]]
        if not answered:
            said += ["sudo did not ask for the password, so it was not sent"]
        return PrivilegeRefused(f"{host}: {'; '.join(said)}", host=host)


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
        try:
            send_all(self._channel, data, time.monotonic() + _SEND_S)
        except OSError:
            if not (self._channel.closed and self._channel.get_transport().is_active()):
                raise
            # The shell has ended before it took anything: what it has said tells why.

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
        if not self._channel.closed:  # for one that is closed sshd would end the whole connection
            request(self._channel, "signal", "KILL", reply=False)


def _take(receive: Callable[[int], bytes]) -> bytes | None:
    """What is there now, b"" if nothing, None at the end."""
    try:
        return receive(_CHUNK) or None
    except TimeoutError:
        return b""
