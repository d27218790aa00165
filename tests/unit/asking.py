"""One host asked by a gatherer of its own; a table of what may come of it; and servers that say what a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from siteproof.asks import Output, Question
from siteproof.errors import ProbeError
from siteproof.evidence.store import Store
from siteproof.gather import LocalGatherer
from siteproof.transport.connection import Connection

NONCE = "abcdef012345"
Speak = Callable[[socket.socket], object]


def gathered(at: Connection, questions: Sequence[Question], store: Store) -> list[Output | ProbeError | None]:
    """What each question came to, in one round; the evidence is in the store."""
    with closing(LocalGatherer({at.name: at}, store, NONCE)) as gatherer:
        gatherer.ask(questions)
    return [store.get(question) for question in questions]


@dataclass(frozen=True)
class Row:
    """A script, and what is to come of it."""

    name: str
    script: str
    stdout: bytes = b""
    stderr: bytes = b""
    status: int = 0
    error: str | None = None
    says: str = ""
    within_s: float = 5.0

    def is_what_came(self, found: Output | ProbeError | None) -> None:
        """Fails if not."""
        if self.error is None:
            assert isinstance(found, Output), f"{self.name}: {found}"
            assert (found.status, found.stdout, found.stderr) == (self.status, self.stdout, self.stderr), self.name
        else:
            assert isinstance(found, ProbeError), f"{self.name}: {found}"
            assert found.kind == self.error, self.name
            assert self.says in str(found), self.name


def listening(speak: Speak) -> int:
    """A port of 127.0.0.1 on which every connection is accepted, spoken to and then closed."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=one, args=(client,), daemon=True).start()

    def one(client: socket.socket) -> None:
        with client:
            try:
                speak(client)
            except (OSError, ValueError):  # the other side went away: what is tested may do that
                return

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])
