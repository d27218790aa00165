"""What a run has found so far, and what went wrong on its way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from siteproof.asks import Command, Question
from siteproof.results import Result


class Ledger:
    """The results of this process and of its workers, and the sentences beside them. Written by its own methods only.

    A worker's own results go to the controller one by one, in its reports; all else when it ends, by `to_json`.
    """

    def __init__(self, *, remarks: Iterable[str] = (), deadly: Mapping[str, str] | None = None) -> None:
        self._results: dict[str, Result] = {}
        self.results: Final[Mapping[str, Result]] = self._results
        """By node id."""
        self._remarks = list(remarks)
        self.remarks: Final[Sequence[str]] = self._remarks
        self._failures: list[str] = []
        self.failures: Final[Sequence[str]] = self._failures
        """Sentences: what failed inside. A run with one leaves with exit code 3, whatever it found."""
        self._shortfalls: list[str] = []
        self.shortfalls: Final[Sequence[str]] = self._shortfalls
        """Sentences: what was not even planned, such as a file of checks that cannot be read."""
        self._tools: dict[str, set[str]] = {}
        self.tools: Final[Mapping[str, set[str]]] = self._tools
        """Host -> the tools that were asked about there."""
        self._deadly = dict(deadly or {})
        self.deadly: Final[Mapping[str, str]] = self._deadly
        """Node id -> why nobody runs this check again: it ended the process that did. Written by the controller, which
        tells each worker that it starts."""
        self.stopped = ""
        """Why the rest was not judged, where the operator wanted it so: -x, --maxfail, --stepwise."""

    def add(self, result: Result) -> None:
        """Of two results of one node id the worse one stays."""
        before = self._results.get(result.nodeid)
        self._results[result.nodeid] = result if before is None else before.or_worse(result)

    def remark(self, said: str) -> None:
        """Once, however often it is said."""
        if said not in self._remarks:
            self._remarks.append(said)

    def fail(self, said: str) -> None:
        self._failures.append(said)

    def fall_short(self, said: str) -> None:
        """Once: each worker says it."""
        if said not in self._shortfalls:
            self._shortfalls.append(said)

    def asked(self, questions: Iterable[Question]) -> None:
        """Remember which tools these are about."""
        for question in questions:
            if isinstance(question, Command):
                self._tools.setdefault(question.host, set()).update(question.tools)

    def stop(self, why: str) -> None:
        self.stopped = why

    def kills(self, nodeid: str, why: str) -> None:
        """Controller: nobody runs this check again."""
        self._deadly[nodeid] = why

    def to_json(self) -> dict[str, Any]:
        """What a worker knows that its reports do not carry, for `take_over`."""
        return {
            "tools": {host: sorted(tools) for host, tools in self._tools.items()},
            "remarks": self._remarks,
            "failures": self._failures,
        }

    def take_over(self, told: Mapping[str, Any]) -> None:
        """Controller: learn what a worker told when it ended."""
        for host, tools in told["tools"].items():
            self._tools.setdefault(host, set()).update(tools)
        for said in told["remarks"]:
            self.remark(said)
        self._failures += [said for said in told["failures"] if said not in self._failures]
