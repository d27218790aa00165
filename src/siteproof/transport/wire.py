"""What siteproof needs of an SSH transport and paramiko does not give."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Literal

import paramiko
import paramiko.packet
from paramiko.common import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_REQUEST,
)
from paramiko.message import Message

from siteproof.errors import Unreachable

# It logs tracebacks for every host that is down; what they mean is said by our own errors.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

_LONGEST_SAID = 200
_LONGEST_PACKET = 1 << 18
"""OpenSSH's own bound."""
_LONGEST_BANNER = 1 << 16
_PACKET_S = 30.0
"""Until a packet of ours was taken: 32 KiB, and others' before it in the kernel's buffer."""
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux only
PROHIBITED = 1
"""SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1)."""
CONNECT_FAILED = 2
"""SSH_OPEN_CONNECT_FAILED: the host tried, and the far end refused, or no way led there."""


class Refused(Exception):
    """The server did not open a channel; `str()` is its own words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class HeldOff(Unreachable):
    """sshd takes no connection from here for some time, and for longer with each try. In the evidence: Unreachable."""

    @property
    def kind(self) -> str:
        return Unreachable.__name__


class ConnectionLost(Unreachable):
    """The connection was there and is not any more. It may be made again; in the evidence it is Unreachable."""

    @property
    def kind(self) -> str:
        return Unreachable.__name__


def _channel_request(channel: paramiko.Channel, message: Message) -> None:
    # paramiko knows only a shell that ended by itself, not one that was killed.
    if message.get_text() == "exit-signal":
        channel.status_event.set()
    message.rewind()
    message.get_int()
    channel._handle_request(message)  # type: ignore[attr-defined]


def _channel_data(channel: paramiko.Channel, message: Message) -> None:
    channel._feed(message)  # type: ignore[attr-defined]
    _refuse_flood(channel)


def _channel_stderr(channel: paramiko.Channel, message: Message) -> None:
    channel._feed_extended(message)  # type: ignore[attr-defined]
    _refuse_flood(channel)


def _refuse_flood(channel: paramiko.Channel) -> None:
    """paramiko grants a window and then keeps whatever comes, also what was never granted."""
    if len(channel.in_buffer) + len(channel.in_stderr_buffer) > channel.in_window_size:
        raise paramiko.SSHException("the server sent more than it was allowed to")


class Packetizer(paramiko.packet.Packetizer):
    """paramiko believes any length that a server announces, reads a banner without end, and waits as long for a packet
    to be taken as the host likes."""

    _before_version = 0

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._to = sock
        self.first_words = ""
        """The last line that came where its version was due, whole or not."""

    @property
    def no_version(self) -> bool:
        """It has said so much that its version is not to be expected any more."""
        return self._before_version > _LONGEST_BANNER

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > _LONGEST_PACKET:
            raise paramiko.SSHException(f"the server announced a packet of {n} bytes")
        return super().read_all(n, check_rekey)

    def write_all(self, out: Any) -> None:
        """Raises TimeoutError, and EOFError where nothing can be written any more."""
        end = time.monotonic() + _PACKET_S
        while out:
            if time.monotonic() >= end:
                self._give_up()
                raise TimeoutError(f"a packet was not taken within {_PACKET_S:g} s")
            try:
                sent = self._to.send(out)
            except TimeoutError:  # of one piece
                if self.closed:
                    raise EOFError from None
                continue
            except Exception as error:
                raise EOFError from error
            if not sent:
                raise EOFError
            out = out[sent:]

    def _give_up(self) -> None:
        """A part of a packet has gone: nothing that came after it would be understood."""
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._to.shutdown(socket.SHUT_RDWR)
        self.close()

    def _read_timeout(self, timeout: float) -> bytes:
        read: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._before_version += len(read)
        lines = [line for line in read[-_LONGEST_SAID:].decode("utf-8", "replace").splitlines() if line.strip()]
        self.first_words = lines[-1] if lines else self.first_words
        if self.no_version:
            raise paramiko.SSHException("too much before its version")
        return read


class Transport(paramiko.Transport):
    _channel_handler_table = paramiko.Transport._channel_handler_table | {  # type: ignore[attr-defined]
        MSG_CHANNEL_REQUEST: _channel_request,
        MSG_CHANNEL_DATA: _channel_data,
        MSG_CHANNEL_EXTENDED_DATA: _channel_stderr,
    }
    # paramiko wakes every connection's thread ten times a second to see whether it was closed; `hang_up` wakes it.
    _active_check_timeout = 5.0

    def __init__(self, sock: Any) -> None:
        super().__init__(sock, packetizer_class=Packetizer)
        self._refusals: dict[int, Refused] = {}
        self._opening = threading.local()
        self._parting = ""

    @property
    def no_version(self) -> bool:
        packetizer: Packetizer = self.packetizer  # type: ignore[assignment]
        return packetizer.no_version

    @property
    def first_words(self) -> str:
        """What the server said instead of its version; empty where it said its version."""
        packetizer: Packetizer = self.packetizer  # type: ignore[assignment]
        return "" if self.remote_version else one_line(packetizer.first_words)

    @property
    def last_words(self) -> str:
        """With which the server hung up, or else what it said while we logged in; PAM's reasons are among that."""
        # Not get_banner(), which knows nothing any more once the connection has ended.
        banner: bytes = getattr(self.auth_handler, "banner", None) or b""
        return self._parting or one_line(" ".join(banner.decode("utf-8", "replace").split()))

    def _parse_disconnect(self, message: Message) -> None:
        message.get_int()
        self._parting = one_line(message.get_text())

    def open(
        self, kind: Literal["session", "direct-tcpip"], timeout_s: float, target: tuple[str, int] | None = None
    ) -> paramiko.Channel:
        """Like open_channel, but safe in several threads: paramiko keeps one failure for the whole connection.

        Raises Refused where the server says no, SSHException where there is no word from it.
        """
        try:
            return self.open_channel(kind, target, ("127.0.0.1", 0) if target else None, timeout=timeout_s)
        except (paramiko.SSHException, EOFError):
            if (refused := self._refusals.pop(self._opening.channel, None)) is not None:
                raise refused from None
            raise

    def _parse_global_request(self, message: Message) -> None:
        super()._parse_global_request(message)  # type: ignore[misc]
        # sshd tells its host keys right after login, and Nagle then holds its word on our first channel back until
        # that is acknowledged, which the kernel would put off for 40 ms.
        if _QUICKACK is not None and isinstance(self.sock, socket.socket) and self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _next_channel(self) -> int:
        self._opening.channel = super()._next_channel()  # type: ignore[misc]
        return int(self._opening.channel)

    def _parse_channel_open_failure(self, message: Message) -> None:
        channel, code = message.get_int(), message.get_int()
        self._refusals[channel] = Refused(code, one_line(message.get_text()))
        message.rewind()
        super()._parse_channel_open_failure(message)  # type: ignore[misc]


def request(channel: paramiko.Channel, name: str, argument: str, *, reply: bool) -> None:
    """A channel request whose reply nobody waits for: paramiko's own waits without a bound."""
    message = Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string(name)
    message.add_boolean(reply)
    message.add_string(argument)
    channel.get_transport()._send_user_message(message)  # type: ignore[attr-defined]


def hang_up(transport: Transport) -> None:
    with suppress(OSError, EOFError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()


def words(error: BaseException | None) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(str(error)) or type(error).__name__


def one_line(text: str) -> str:
    """What another machine or program said, for a sentence of ours: bounded, and nothing in it acts on a terminal."""
    shown = text[:_LONGEST_SAID] + ("…" if len(text) > _LONGEST_SAID else "")
    return spelled_out(shown.strip())


def spelled_out(text: str) -> str:
    """The same with each character that is not simply shown as Python writes it."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
