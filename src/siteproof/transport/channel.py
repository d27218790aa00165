"""A TCP connection that leaves from the host: mostly a `direct-tcpip` channel of its SSH connection."""

from __future__ import annotations

import socket
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress

import paramiko

from siteproof.asks import Stream
from siteproof.errors import ChannelRefused, ToolFailed, Unanswered
from siteproof.transport.documentation_addresses import is_documentation
from siteproof.transport.wire import CONNECT_FAILED, PROHIBITED, ConnectionLost, Refused, Transport, words

Either = socket.socket | paramiko.Channel

_CHUNK = 1 << 16


def described(question: Stream) -> str:
    return f"{question.probe} from {question.host} to {question.address}:{question.port}"


class Carrier(ABC):
    """Takes TCP connections to where they leave from the host."""

    @abstractmethod
    def connect(self, question: Stream, end: float) -> Either:
        """Until `end` on the monotonic clock.

        Raises ProbeError: Unanswered where nobody lets the host connect, a silence and no answer by itself.
        """

    @property
    @abstractmethod
    def alive(self) -> bool: ...


class OverSsh(Carrier):
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def alive(self) -> bool:
        return self._transport.is_active()

    def connect(self, question: Stream, end: float) -> paramiko.Channel:
        what = described(question)
        try:
            return self._transport.open("direct-tcpip", left_s(end), (question.address, question.port))
        except Refused as refused:
            if refused.code == PROHIBITED:
                raise ChannelRefused(f"{what}: sshd on {question.host} forbids forwarding: {refused}") from refused
            if refused.code == CONNECT_FAILED:
                raise Unanswered(f"{what}: {refused}") from refused
            raise ToolFailed(f"{what}: {refused}") from refused
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self.alive:
                raise Unanswered(f"{what}: no connection within {question.deadline_s:g} s") from error
            raise ConnectionLost(f"{question.host}: the connection was lost: {words(error)}") from error


class FromHere(Carrier):
    """The host is this machine."""

    def __init__(self, *, in_lab: bool) -> None:
        self._in_lab = in_lab

    @property
    def alive(self) -> bool:
        return True

    def connect(self, question: Stream, end: float) -> socket.socket:
        what = described(question)
        if not self._in_lab and is_documentation(question.address):
            raise ChannelRefused(f"{what}: documentation uses that address and nobody has it; nothing was connected to")
        try:
            return socket.create_connection((question.address, question.port), left_s(end))
        except TimeoutError as error:
            raise Unanswered(f"{what}: no connection within {question.deadline_s:g} s") from error
        except OSError as error:
            raise Unanswered(f"{what}: {words(error)}") from error


def left_s(end: float) -> float:
    """For a timeout, of which none is another thing than a short one."""
    return max(0.01, end - time.monotonic())


def send_all(opened: Either, data: bytes, end: float) -> None:
    """Raises TimeoutError when not all was taken by `end`, and OSError where no more can be sent.

    paramiko's own `sendall` waits anew for each piece, without end for a host that takes a byte now and then, and never
    stops trying once our side of the channel has ended.
    """
    sent = 0
    while sent < len(data):
        late = TimeoutError(f"{sent} of {len(data)} bytes were taken in time")
        if (left := end - time.monotonic()) <= 0:
            raise late
        opened.settimeout(left)
        try:
            taken = opened.send(data[sent:])
        except TimeoutError:
            raise late from None
        if not taken:
            raise OSError(f"it ended when {sent} of {len(data)} bytes were sent")
        sent += taken


def as_socket(opened: Either) -> socket.socket:
    """A real socket that leads where `opened` does, for libraries that take nothing else. `opened` stays the caller's,
    who ends both with `end`."""
    return opened.dup() if isinstance(opened, socket.socket) else _pumped(opened)


def end(opened: Either) -> None:
    """Whoever reads from it, or from what `as_socket` made of it, is woken."""
    if isinstance(opened, socket.socket):
        with suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)
    opened.close()


def _pumped(channel: paramiko.Channel) -> socket.socket:
    ours, theirs = socket.socketpair()
    for source, target in ((channel, theirs), (theirs, channel)):
        threading.Thread(target=_pump, args=(source, target, channel, theirs), daemon=True, name="pump").start()
    return ours


def _pump(source: Either, target: Either, channel: paramiko.Channel, theirs: socket.socket) -> None:
    with suppress(OSError, EOFError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    if source is theirs:
        channel.close()  # whoever had the socket is done
    with suppress(OSError):
        theirs.shutdown(socket.SHUT_WR if target is theirs else socket.SHUT_RD)
    if source is theirs:
        theirs.close()
