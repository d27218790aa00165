"""The gatherer as the processes see it that do not own the connections."""

from __future__ import annotations

import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from siteproof.asks import Consent, Output, Question
from siteproof.errors import ProbeError
from siteproof.evidence.store import Store
from siteproof.gather import protocol
from siteproof.gather.base import BUDGET_S, WITHOUT_OPTIONS, Gatherer, Progress, Report
from siteproof.gather.protocol import Message, Spec
from siteproof.transport.connection import Connection

_READY_S = 30.0
_END_S = 5.0


class RemoteGatherer(Gatherer):
    """Speaks to a gatherer process, one request at a time. Who started the process ends it with `close`."""

    def __init__(self, socket_path: str | Path, process: subprocess.Popen[bytes] | None = None) -> None:
        self.socket_path = Path(socket_path)
        self._process = process
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(socket_path))
        self._lock = threading.Lock()

    def ask(self, questions: Collection[Question], progress: Report | None = None) -> None:
        request = {
            "ask": [protocol.question_to_json(question) for question in questions],
            "progress": progress is not None,
        }
        for reply in self._request(request):
            if progress is not None and "progress" in reply:
                progress(Progress(**reply["progress"]))

    def run(self, host: str, command: str, timeout_s: float) -> Output:
        (reply,) = self._request({"run": {"host": host, "command": command, "timeout_s": timeout_s}})
        return protocol.output_from_json(reply["output"])

    @contextmanager
    def beside(self) -> Iterator[Gatherer]:
        with closing(RemoteGatherer(self.socket_path)) as other:
            yield other

    @property
    def duplicates(self) -> list[tuple[str, str]]:
        (reply,) = self._request({"duplicates": True})
        return [(first, second) for first, second in reply["duplicates"]]

    def close(self) -> None:
        self._socket.close()
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _request(self, request: Message) -> Iterator[Message]:
        """The replies, up to the last. Raises the ProbeError that came instead of one."""
        with self._lock:
            try:
                yield from self._replies(request)
            except ProbeError:
                raise
            except BaseException:
                self._socket.close()  # what is still to come would be taken for replies to the next request
                raise

    def _replies(self, request: Message) -> Iterator[Message]:
        try:
            protocol.send(self._socket, request)
            while (reply := protocol.receive(self._socket)) is not None:
                if "error" in reply:
                    raise protocol.error_from_json(reply["error"])
                if "done" in reply:
                    return
                yield reply
        except OSError as error:
            raise ProbeError(f"the gatherer process cannot be reached any more: {error}") from error
        raise ProbeError("the gatherer process has ended")


def spawn(
    connections: Mapping[str, Connection],
    store: Store,
    *,
    run_nonce: str,
    secrets: Collection[str] = (),
    consent: Consent = WITHOUT_OPTIONS,
    fanout: int = 64,
    byte_cap: int = 4 << 20,
    budget_s: float = BUDGET_S,
) -> RemoteGatherer:
    """Start a gatherer in a process of its own. It ends with `close`, and with this process however that ends.

    Its socket stands in a directory of its own under the temporary directory: a socket's path has 108 bytes at most.
    """
    spec = Spec(connections, store.directory, run_nonce, tuple(secrets), consent, fanout, byte_cap, budget_s)
    path = Path(tempfile.mkdtemp(prefix="siteproof-")) / "gather"
    process = subprocess.Popen(
        [sys.executable, "-m", "siteproof.gather", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        _hand_over(process, spec)
        return RemoteGatherer(path, process)
    except BaseException:
        process.kill()
        process.wait()
        shutil.rmtree(path.parent, ignore_errors=True)
        raise


def _hand_over(process: subprocess.Popen[bytes], spec: Spec) -> None:
    """Secrets go through the pipe only. Returns when the process listens."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the gatherer process needs pipes")
    process.stdin.write(spec.to_json().encode() + b"\n")
    process.stdin.flush()
    ready, _, _ = select.select([process.stdout], [], [], _READY_S)
    if not ready or process.stdout.readline().strip() != b"ready":
        raise RuntimeError("the gatherer process did not start")
