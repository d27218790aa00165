"""What goes over the gatherer's socket: JSON, each message with its length in four bytes before it."""

from __future__ import annotations

import base64
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from siteproof.asks import Command, Consent, Earlier, Output, Question, Stream, Versions
from siteproof.errors import ProbeError
from siteproof.gather.base import BUDGET_S
from siteproof.transport.backend import Backend
from siteproof.transport.connection import Connection

_LENGTH = struct.Struct("!I")
_LONGEST = 256 << 20

Message = dict[str, Any]


@dataclass(frozen=True)
class Spec:
    """What a gatherer process is given, on its stdin: it holds secrets."""

    connections: Mapping[str, Connection] = field(repr=False)
    store: Path
    run_nonce: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    consent: Consent = Consent()
    fanout: int = 64
    byte_cap: int = 4 << 20
    budget_s: float = BUDGET_S

    def to_json(self) -> str:
        connections = {name: asdict(connection) for name, connection in self.connections.items()}
        rest = {name: getattr(self, name) for name in ("run_nonce", "secrets", "fanout", "byte_cap", "budget_s")}
        store, consent = str(self.store), asdict(self.consent)
        return json.dumps({"connections": connections, "store": store, "consent": consent, **rest})

    @staticmethod
    def from_json(text: str) -> Spec:
        spec = json.loads(text)
        connections = {name: _connection(fields) for name, fields in spec.pop("connections").items()}
        secrets, consent = tuple(spec.pop("secrets")), Consent(**spec.pop("consent"))
        return Spec(connections=connections, store=Path(spec.pop("store")), secrets=secrets, consent=consent, **spec)


def _connection(fields: Mapping[str, Any]) -> Connection:
    backend = fields["backend"] and Backend(
        **{
            **fields["backend"],
            "arguments": tuple(fields["backend"]["arguments"]),
            "options": _pairs(fields["backend"]),
        }
    )
    given = {"key_files": tuple(fields["key_files"]), "options": _pairs(fields), "backend": backend}
    return Connection(**{**fields, **given})


def _pairs(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in fields["options"])


def send(connected: socket.socket, message: Message) -> None:
    data = json.dumps(message).encode()
    connected.sendall(_LENGTH.pack(len(data)) + data)


def receive(connected: socket.socket) -> Message | None:
    """The next message; None at the end."""
    head = _receive(connected, _LENGTH.size)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _LONGEST:
        raise ConnectionError(f"a message of {length} bytes")
    message: Message = json.loads(_receive(connected, length))
    return message


def _receive(connected: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        chunk = connected.recv(min(length - len(received), 1 << 20))
        if not chunk:
            if received:
                raise ConnectionError("a message was cut off")
            return b""
        received += chunk
    return bytes(received)


def question_to_json(question: Question) -> Message:
    return {"kind": type(question).__name__, **asdict(question)}


def question_from_json(message: Mapping[str, Any]) -> Question:
    fields = {**message, **{name: tuple(message[name]) for name in ("retry_on", "needs", "vain_on")}}
    match fields.pop("kind"):
        case "Command":
            patterns = tuple((name, glob) for name, glob in fields["root_patterns"])
            return Command(**{**fields, "tools": tuple(fields["tools"]), "root_patterns": patterns})
        case "Versions":
            return Versions(**{**fields, "tools": (), "root_patterns": ()})
        case "Earlier":
            return Earlier(**fields)
        case "Stream":
            return Stream(**{**fields, "parameters": tuple((name, value) for name, value in fields["parameters"])})
        case kind:
            raise ValueError(f"no such question: {kind}")


def output_to_json(output: Output) -> Message:
    streams = {name: base64.b64encode(getattr(output, name)).decode() for name in ("stdout", "stderr")}
    return {"status": output.status, "started": output.started, "seconds": output.seconds, **streams}


def output_from_json(message: Mapping[str, Any]) -> Output:
    return Output(**{**message, **{name: base64.b64decode(message[name]) for name in ("stdout", "stderr")}})


def error_to_json(error: ProbeError) -> Message:
    return {"kind": error.kind, "message": error.message, "host": error.host}


def error_from_json(message: Mapping[str, Any]) -> ProbeError:
    return ProbeError.of_kind(message["kind"], message["message"], host=message["host"])
