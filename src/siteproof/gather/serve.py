"""The gatherer process: owns the connections of a run and serves the processes that share them."""

from __future__ import annotations

import io
import logging
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from siteproof.errors import ProbeError
from siteproof.evidence.store import Store
from siteproof.gather import protocol
from siteproof.gather.base import Gatherer, Progress
from siteproof.gather.local import LocalGatherer
from siteproof.gather.protocol import Message, Spec
from siteproof.text.redaction import NOTHING_SECRET, Redactor
from siteproof.transport.wire import spelled_out

_PARENT_LOOKED_AT_S = 1.0
_PROGRESS_EVERY_S = 0.1
_log = logging.getLogger(__name__)

Reply = Callable[[Message], None]


def serve(socket_path: Path) -> None:
    """Reads a Spec from stdin, one line, and serves until stdin ends or the parent process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; it closes stdin
    plain = speak_plainly()
    parent = os.getppid()
    spec = Spec.from_json(sys.stdin.readline())
    plain.redactor = Redactor(spec.secrets)
    store = Store(spec.store, secrets=spec.secrets)
    gatherer = LocalGatherer(
        spec.connections,
        store,
        spec.run_nonce,
        consent=spec.consent,
        fanout=spec.fanout,
        byte_cap=spec.byte_cap,
        budget_s=spec.budget_s,
    )
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(socket_path))
    listener.listen()
    threading.Thread(target=_accept, args=(listener, gatherer), daemon=True).start()
    print("ready", flush=True)
    while os.getppid() == parent and not _ended(sys.stdin.fileno()):
        pass
    shutil.rmtree(socket_path.parent, ignore_errors=True)
    gatherer.close()
    # Threads that still wait for a host are not waited for: the gatherer never outlives the run.
    os._exit(0)


def speak_plainly() -> Plain:
    """What goes wrong here is written where the operator reads, also words of a host: none of them acts there."""
    sys.stderr = plain = Plain(sys.stderr)
    return plain


class Plain(io.TextIOBase):
    redactor = NOTHING_SECRET

    def __init__(self, written_to: TextIO) -> None:
        self._written_to = written_to

    def write(self, text: str) -> int:
        # The last line may go on with the next write, and so each line is taken for itself.
        said = self.redactor.text(text)
        self._written_to.write("\n".join(spelled_out(line.expandtabs(4)) for line in said.split("\n")))
        self._written_to.flush()
        return len(text)


def _ended(descriptor: int) -> bool:
    ready, _, _ = select.select([descriptor], [], [], _PARENT_LOOKED_AT_S)
    return bool(ready) and not os.read(descriptor, 4096)


def _accept(listener: socket.socket, gatherer: Gatherer) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve_client, args=(client, gatherer), daemon=True).start()


def _serve_client(client: socket.socket, gatherer: Gatherer) -> None:
    # A client that goes away in the middle of a reply is nobody's failure but its own.
    with client, suppress(OSError):
        while (request := protocol.receive(client)) is not None:
            _serve_request(request, gatherer, lambda reply: protocol.send(client, reply))


def _serve_request(request: Message, gatherer: Gatherer, reply: Reply) -> None:
    try:
        if "ask" in request:
            questions = [protocol.question_from_json(question) for question in request["ask"]]
            gatherer.ask(questions, _Throttle(reply) if request["progress"] else None)
        elif "run" in request:
            reply({"output": protocol.output_to_json(gatherer.run(**request["run"]))})
        else:
            reply({"duplicates": gatherer.duplicates})
        reply({"done": True})
    except ProbeError as error:
        reply({"error": protocol.error_to_json(error)})
    except Exception as error:  # noqa: BLE001 - said by name to the process that asked
        _log.exception("while serving %s", sorted(request))
        failure = ProbeError(f"the gatherer failed: {type(error).__name__}: {error}")
        reply({"error": protocol.error_to_json(failure)})


class _Throttle:
    """Passes on every new phase and the last step, and between them no more than is looked at."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._phases: dict[str, str] = {}
        self._sent = 0.0
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            now = time.monotonic()
            same_phase = self._phases.get(progress.host) == progress.phase
            if same_phase and progress.done < progress.total and now - self._sent < _PROGRESS_EVERY_S:
                return
            self._phases[progress.host] = progress.phase
            self._sent = now
            self._reply({"progress": {name: getattr(progress, name) for name in Progress.__dataclass_fields__}})
