"""The `host` fixture: testinfra's own Host, asking through the run's connection.

What it asks is kept like any other question, so that a plain check can be replayed, and is judged on what was kept.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import testinfra.host
from testinfra.backend.base import BaseBackend, CommandResult

from siteproof.asks import Command, Output, Question, Recorded, refuse_no_answer, refuse_withheld
from siteproof.errors import BadInput, NotRecorded, ProbeError, ToolFailed
from siteproof.evidence.store import Attempt, Store
from siteproof.gather import Gatherer
from siteproof.inventory.inventory import Inventory

LIVE_DEADLINE_S = 30.0

_PREFIX = r"^(?:ip netns exec \S+ |/\S*/|sudo (?:-\S+ )*)*"
_LOOKS_FOR = re.compile(_PREFIX + r"(?:command -v|which|type|lsb_release)\b")
"""127 is how some shells say that there is no such tool."""
_SOCKETS = re.compile(_PREFIX + r"(?:ss|netstat|lsof|sockstat)\b")
_REACHES = re.compile(_PREFIX + r"(?:ping|nc|timeout \d+ bash -c .*/dev/tcp/)")
_NOT_TRIED = re.compile(
    r"resol|getaddrinfo|not known|lookup|bad address|usage|invalid|unrecognized|unknown|permitted|permission",
    re.IGNORECASE,
)


def host_parameters(module: ModuleType, inventory: Inventory) -> list[str]:
    """The hosts of a module of plain checks: `testinfra_hosts` lists inventory patterns; without it, all hosts."""
    patterns = getattr(module, "testinfra_hosts", ["all"])
    try:
        return list(dict.fromkeys(h for pattern in patterns for h in inventory.match(pattern)))
    except BadInput as error:
        raise BadInput(f"{module.__file__}: testinfra_hosts: {error}") from None


class LiveBackend(BaseBackend):  # type: ignore[misc]
    """Runs testinfra's commands on a host as they come. Raises ProbeError where testinfra would make an answer up."""

    NAME = "siteproof"

    def __init__(self, name: str, gatherer: Gatherer | None, store: Store, listen: Callable[[Question], None]) -> None:
        super().__init__(name)
        self._gatherer = gatherer
        self._store = store
        self._listen = listen
        self._asked: dict[str, int] = {}
        """How often each question was asked: the same words may be answered otherwise a moment later."""

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        # host.sudo() replaces get_command on the instance.
        line = self.get_command(command, *args)
        question = Command(self.hostname, line, LIVE_DEADLINE_S, "reads", line)
        self._listen(question)
        answer = self._ask(question)
        if isinstance(answer, ProbeError):
            raise answer
        if answer.status in (126, 127) and not _LOOKS_FOR.match(line):
            refuse_no_answer(question, answer, frozenset())
        refuse_silence(question, answer)
        refuse_withheld(question, answer)
        return self.result(answer.status, line.encode(), answer.stdout, answer.stderr)

    def _ask(self, question: Command) -> Recorded:
        if self._gatherer is None:
            return self._recorded(question)
        started, begun = time.time(), time.monotonic()
        try:
            attempt = Attempt.of(self._gatherer.run(question.host, question.script, question.deadline_s))
        except ProbeError as error:
            attempt = Attempt(started, time.monotonic() - begun, error)
        self._store.add(question, attempt)
        return self._store.as_kept(attempt.answer)

    def _recorded(self, question: Command) -> Recorded:
        """Of a bundle: the first time the first answer, the next time the next, and then again the last."""
        found = self._store.evidence(question)
        if found is None:
            return NotRecorded(f"{question.probe} on {question.host}: not in the evidence", host=question.host)
        before = self._asked.get(question.key, 0)
        self._asked[question.key] = before + 1
        return found.attempts[min(before, len(found.attempts) - 1)].answer


def refuse_silence(question: Command, output: Output) -> None:
    """Raise where testinfra would answer `not listening` or `not reachable`, and nobody has looked."""
    if output.status == 0:
        return
    failed = bool(_SOCKETS.match(question.script))
    if _REACHES.match(question.script):
        failed = output.status not in (1, 124) or bool(_NOT_TRIED.search(output.errors))
    if failed:
        said = output.errors.strip().splitlines()[-1:] or [f"status {output.status}"]
        raise ToolFailed(f"{question.probe} on {question.host}: {said[0]}", host=question.host)


def live_host(
    name: str, gatherer: Gatherer | None, store: Store, listen: Callable[[Question], None]
) -> testinfra.host.Host:
    """testinfra's Host for one host of the inventory. Without a gatherer its answers are those of the store.

    `listen` is told of each question before it is asked.
    """
    backend = LiveBackend(name, gatherer, store, listen)
    found = testinfra.host.Host(backend)
    backend.set_host(found)
    return found
