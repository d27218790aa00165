"""A TCP connection that leaves from the host: a `direct-tcpip` channel of its SSH connection."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import paramiko

from siteproof.asks import Stream
from siteproof.errors import ChannelRefused, ToolFailed, Unanswered
from siteproof.transport.wire import CONNECT_FAILED, PROHIBITED, ConnectionLost, Refused, Transport, words

_CHUNK = 1 << 16


def described(question: Stream) -> str:
    return f"{question.probe} from {question.host} to {question.address}:{question.port}"


def connect(transport: Transport, question: Stream) -> paramiko.Channel:
    """Raises ProbeError: Unanswered where nobody lets the host connect, which is a silence and no answer by itself."""
    what = described(question)
    try:
        return transport.open("direct-tcpip", question.deadline_s, (question.address, question.port))
    except Refused as refused:
        if refused.code == PROHIBITED:
            raise ChannelRefused(f"{what}: sshd on {question.host} forbids forwarding: {refused}") from refused
        if refused.code == CONNECT_FAILED:
            raise Unanswered(f"{what}: {refused}") from refused
        raise ToolFailed(f"{what}: {refused}") from refused
    except (paramiko.SSHException, EOFError, OSError) as error:
        if transport.is_active():
            raise Unanswered(f"{what}: no connection within {question.deadline_s:g} s") from error
        raise ConnectionLost(f"{question.host}: the connection was lost: {words(error)}") from error


def as_socket(channel: paramiko.Channel) -> socket.socket:
    """A real socket whose other end is the channel, for libraries that take nothing else. It owns the channel."""
    ours, theirs = socket.socketpair()
    for source, target in ((channel, theirs), (theirs, channel)):
        threading.Thread(target=_pump, args=(source, target, channel, theirs), daemon=True, name="pump").start()
    return ours


Either = socket.socket | paramiko.Channel


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
