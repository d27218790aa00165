"""A DNS question over TCP that leaves from the host: spoken here, carried to the host by its connection."""

from __future__ import annotations

import struct
import time

import dns.message

from siteproof.asks import Stream
from siteproof.errors import Truncated, Unanswered
from siteproof.transport.channel import Carrier, Either, described, left_s, send_all
from siteproof.transport.wire import words

_HEADER_LENGTH = 12


def ask(carrier: Carrier, question: Stream) -> bytes:
    """The reply as it came, without its length. Raises ProbeError."""
    what = described(question)
    end = time.monotonic() + question.deadline_s
    query = _query(question)
    channel = carrier.connect(question, end)
    try:
        send_all(channel, struct.pack("!H", len(query)) + query, end)
        (length,) = struct.unpack("!H", _receive(channel, 2, end, what))
        reply = _receive(channel, length, end, what)
    except TimeoutError as error:
        raise Unanswered(f"{what}: connected, and no whole answer within {question.deadline_s:g} s") from error
    except OSError as error:
        raise Truncated(f"{what}: {words(error)}") from error
    finally:
        channel.close()
    if length < _HEADER_LENGTH or reply[:2] != query[:2]:
        raise Truncated(f"{what}: what came ({length} bytes) is not a reply to what was asked")
    return reply


def _query(question: Stream) -> bytes:
    parameters = dict(question.parameters)
    # The id follows from the question, so that a replayed answer still belongs to it.
    identifier = int(question.key[:4], 16)
    query = dns.message.make_query(
        parameters["name"], parameters["type"], parameters.get("class", "IN"), use_edns=False, id=identifier
    )
    return query.to_wire()


def _receive(channel: Either, length: int, end: float, what: str) -> bytes:
    received = b""
    while len(received) < length:
        if time.monotonic() >= end:  # who says a little all the time is late as well
            raise TimeoutError
        channel.settimeout(left_s(end))
        chunk = channel.recv(length - len(received))
        if not chunk:
            raise Truncated(f"{what}: the answer ended after {len(received)} of {length} bytes")
        received += chunk
    return received
