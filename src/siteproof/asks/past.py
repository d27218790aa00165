"""What earlier runs were answered to the same question, as one answer of this run."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, Protocol, TypeVar

from siteproof.asks.ask import Ask
from siteproof.asks.questions import Earlier, Output, Question, Recorded
from siteproof.errors import NotRecorded, ProbeError, Unparseable

T = TypeVar("T")

RUN = re.compile(r"(\d{8}T\d{6}\.\d{3})Z-\d+")
"""The name of a run's directory: UTC to the millisecond, and a process."""


class Kept(Protocol):
    """Where earlier runs are, as the inventory says it."""

    @property
    def directory(self) -> str | None:
        """None for where this run's own is."""

    @property
    def since(self) -> date:
        """Older runs say nothing of the site as it is now."""


@dataclass(frozen=True)
class Past(Generic[T]):
    """An answer of an earlier run."""

    run: str
    answer: T


@dataclass(frozen=True, eq=False)
class PastAnswers(Ask[tuple[Past[T], ...]]):
    """See `past`."""

    ask: Ask[T]
    history: Kept

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return tuple(map(self._earlier, self.ask.questions))

    def read(self, recorded: Callable[[Question], Recorded]) -> tuple[Past[T], ...]:
        by_question: dict[str, dict[str, Output]] = {}
        for question in self.ask.questions:
            found = recorded(self._earlier(question))
            if isinstance(found, ProbeError):
                raise found
            by_question[question.key] = decoded(found)
        runs = sorted({run for answers in by_question.values() for run in answers})
        return tuple(past for run in runs if (past := self._of(run, by_question)) is not None)

    def _of(self, run: str, answers: dict[str, dict[str, Output]]) -> Past[T] | None:
        """What that run was answered; None if some of it is missing or was no answer, like a night without a run."""

        def recorded(question: Question) -> Recorded:
            missing = NotRecorded(f"{question.probe} on {question.host}: not in {run}", host=question.host)
            return answers[question.key].get(run, missing)

        try:
            return Past(run, self.ask.read(recorded))
        except ProbeError:
            return None

    def _earlier(self, question: Question) -> Earlier:
        return Earlier(
            host=question.host,
            probe=f"earlier runs: {question.probe}",
            deadline_s=0,
            probe_class="reads",
            of=question.key,
            path=self.history.directory or "",
            since=self.history.since.isoformat(),
        )


def past(ask: Ask[T], history: Kept) -> Ask[tuple[Past[T], ...]]:
    """What earlier runs were answered to `ask`, oldest first; the last run of each day that has all of it."""
    return PastAnswers(ask, history)


def encoded(run: str, output: Output) -> str:
    """One line of what is kept of a run: its name, the status, both streams packed."""
    packed = {k: base64.b64encode(gzip.compress(getattr(output, k), mtime=0)).decode() for k in ("stdout", "stderr")}
    return json.dumps({"run": run, "status": output.status, **packed})


def decoded(found: Output) -> dict[str, Output]:
    """Run -> its answer. Raises Unparseable for what `encoded` did not write."""
    answers = {}
    for line in found.text.splitlines():
        try:
            read: dict[str, Any] = json.loads(line)
            stdout, stderr = (gzip.decompress(base64.b64decode(read[stream])) for stream in ("stdout", "stderr"))
            began = datetime.strptime(RUN.fullmatch(read["run"])[1], "%Y%m%dT%H%M%S.%f")  # type: ignore[index]
        except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
            raise Unparseable(f"not what earlier runs are written as: {line[:100]!r}") from error
        answers[read["run"]] = Output(read["status"], stdout, stderr, began.replace(tzinfo=UTC).timestamp(), 0)
    return answers
