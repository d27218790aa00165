"""DNS questions that leave from the host, through a real sshd to a small real answerer on loopback."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.rrset
import pytest
from asking import listening
from local_sshd import Sshd, free_port

from siteproof.asks import Command, Output, Stream
from siteproof.errors import ProbeError
from siteproof.evidence.store import Store
from siteproof.gather import LocalGatherer

DEADLINE_S = 1.0


def read_query(client: socket.socket) -> bytes:
    with client.makefile("rb") as stream:
        (length,) = struct.unpack("!H", stream.read(2))
        return stream.read(length)


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


def reply_to(query: bytes) -> bytes:
    asked = dns.message.from_wire(query)
    reply = dns.message.make_response(asked)
    reply.answer.append(dns.rrset.from_text(asked.question[0].name, 60, "IN", "A", "10.0.20.203"))
    return reply.to_wire()


def answer(client: socket.socket) -> None:
    client.sendall(framed(reply_to(read_query(client))))


def answer_in_drops(client: socket.socket) -> None:
    for byte in framed(reply_to(read_query(client))):
        client.sendall(bytes([byte]))
        time.sleep(0.002)


def never_done(client: socket.socket) -> None:
    """Announces as much as there can be, and each byte comes before anybody grows impatient."""
    client.sendall(b"\xff\xff")
    with suppress(OSError):
        for _ in range(65535):
            client.sendall(b".")
            time.sleep(0.001)


def another_id(client: socket.socket) -> None:
    reply = reply_to(read_query(client))
    client.sendall(framed(bytes([reply[0] ^ 0xFF]) + reply[1:]))


def half(client: socket.socket) -> None:
    client.sendall(framed(reply_to(read_query(client)))[:20])
    client.close()


def nothing(client: socket.socket) -> None:
    read_query(client)
    client.close()


@dataclass(frozen=True)
class Row:
    name: str
    speak: Callable[[socket.socket], object] | None
    error: str | None
    says: str = ""
    host: str = "plain"


ROWS = [
    Row("answers", answer, None),
    Row("answers in drops", answer_in_drops, None),
    Row("accepts and never speaks", lambda client: time.sleep(30), "Unanswered", "connected, and no whole answer"),
    Row("speaks and is never done", never_done, "Unanswered", "connected, and no whole answer"),
    Row("nobody listens", None, "Unanswered", "refused"),
    Row("answers to another question", another_id, "Truncated", "not a reply"),
    Row("too short to be DNS", lambda client: client.sendall(framed(b"short")), "Truncated", "5 bytes"),
    Row("ends in the middle", half, "Truncated", "after 18 of"),
    Row("hangs up", nothing, "Truncated", "0 of 2"),
    Row("forwarding refused", answer, "ChannelRefused", "forbids forwarding", host="no forwarding"),
]


@pytest.fixture(scope="module")
def asked() -> dict[str, Stream]:
    return {
        row.name: Stream(
            host=row.host,
            probe="DNS query",
            deadline_s=DEADLINE_S,
            probe_class="reads",
            address="127.0.0.1",
            port=listening(row.speak) if row.speak else free_port(),
            parameters=(("name", "forgejo.home.example"), ("type", "A")),
        )
        for row in ROWS
    }


COMMAND = Command(host="no forwarding", probe="echo", deadline_s=1, probe_class="reads", script="echo intact")


@pytest.fixture(scope="module")
def gathered(asked: dict[str, Stream], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    sshd = Sshd().start()
    connections = {
        "plain": sshd.connection("plain", sshd.let_in("plain")),
        "no forwarding": sshd.connection("no forwarding", sshd.let_in("closed", "no-port-forwarding")),
    }
    store = Store(tmp_path_factory.mktemp("run") / "evidence")
    gatherer = LocalGatherer(connections, store, "abcdef012345")
    gatherer.ask([*asked.values(), COMMAND])
    yield store
    gatherer.close()
    sshd.stop()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_stream_is_answered_or_says_why_not(gathered: Store, asked: dict[str, Stream], row: Row) -> None:
    evidence = gathered.evidence(asked[row.name])
    assert evidence is not None
    (attempt,) = evidence.attempts
    assert attempt.seconds < DEADLINE_S + 1
    if row.error is None:
        assert isinstance(attempt.answer, Output), attempt.answer
        reply = dns.message.from_wire(attempt.answer.stdout)
        assert [str(answer) for rrset in reply.answer for answer in rrset] == ["10.0.20.203"]
        assert reply.flags & dns.flags.RD
    else:
        assert isinstance(attempt.answer, ProbeError)
        assert (attempt.answer.kind, attempt.answer.host) == (row.error, row.host)
        assert row.says in attempt.answer.message


def test_a_command_beside_a_refused_stream_is_answered(gathered: Store) -> None:
    answered = gathered.get(COMMAND)
    assert isinstance(answered, Output)
    assert answered.text == "intact\n"


def test_nobody_is_asked_on_the_wrong_host(asked: dict[str, Stream], tmp_path_factory: pytest.TempPathFactory) -> None:
    sshd = Sshd().start()
    try:
        connection = sshd.connection("plain", sshd.let_in("plain"), expected_hostname="another")
        store = Store(tmp_path_factory.mktemp("run") / "evidence")
        gatherer = LocalGatherer({"plain": connection}, store, "abcdef012345")
        gatherer.ask([asked["answers"]])
        gatherer.close()
        error = store.get(asked["answers"])
    finally:
        sshd.stop()
    assert isinstance(error, ProbeError)
    assert error.kind == "WrongHost"
