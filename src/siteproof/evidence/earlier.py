"""What earlier runs were answered: evidence like any other, found in their bundles instead of on a host.

It is written into this run's own bundle, so that a check that looks back is judged on one bundle alone, then and later.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from siteproof.asks import Ask, Earlier, Output, Question, Recorded
from siteproof.errors import NotRecorded, ProbeError, Unparseable
from siteproof.evidence.store import Attempt, Store, last_attempt
from siteproof.facts import History

T = TypeVar("T")

MOST = 60
"""Runs that are looked back on: the last one of each day."""
_RUN = re.compile(r"(\d{8}T\d{6}\.\d{3})Z-\d+")


@dataclass(frozen=True)
class Past(Generic[T]):
    """An answer of an earlier run."""

    run: str
    answer: T


@dataclass(frozen=True, eq=False)
class PastAnswers(Ask[tuple[Past[T], ...]]):
    """See `past`."""

    ask: Ask[T]
    history: History

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return tuple(map(self._earlier, self.ask.questions))

    def read(self, recorded: Callable[[Question], Recorded]) -> tuple[Past[T], ...]:
        by_question: dict[str, dict[str, Output]] = {}
        for question in self.ask.questions:
            found = recorded(self._earlier(question))
            if isinstance(found, ProbeError):
                raise found
            by_question[question.key] = _decoded(found)
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


def past(ask: Ask[T], history: History) -> Ask[tuple[Past[T], ...]]:
    """What earlier runs were answered to `ask`, oldest first; the last run of each day that has all of it."""
    return PastAnswers(ask, history)


def answer(question: Earlier, store: Store) -> Attempt:
    """Look into the bundles beside the one that `store` belongs to."""
    began = time.time()
    own = store.directory.parent
    runs = _runs(Path(question.path) if question.path else own.parent, question.since)
    attempts = [(run.name, last_attempt(run / "evidence", question.host, question.of)) for run in runs if run != own]
    # Redacted before it is packed: nothing that comes later can look into that.
    kept = [(name, store.as_kept(a.output)) for name, a in attempts if a is not None and a.output is not None]
    found = [(name, output) for name, output in kept if isinstance(output, Output)]
    latest = {name[:8]: _encoded(name, output) for name, output in found}
    stdout = "".join(f"{line}\n" for line in [*latest.values()][-MOST:])
    return Attempt.of(Output(0, stdout.encode(), b"", began, time.time() - began))


def _runs(directory: Path, since: str) -> Iterator[Path]:
    """The run directories, oldest first. `latest` is a link to one of them."""
    first = since.replace("-", "")
    for path in sorted(directory.glob("*Z-*")):
        if _RUN.fullmatch(path.name) and path.name[:8] >= first:
            yield path


def _encoded(run: str, output: Output) -> str:
    packed = {k: base64.b64encode(gzip.compress(getattr(output, k), mtime=0)).decode() for k in ("stdout", "stderr")}
    return json.dumps({"run": run, "status": output.status, **packed})


def _decoded(found: Output) -> dict[str, Output]:
    answers = {}
    for line in found.text.splitlines():
        try:
            read: dict[str, Any] = json.loads(line)
            stdout, stderr = (gzip.decompress(base64.b64decode(read[stream])) for stream in ("stdout", "stderr"))
            began = datetime.strptime(_RUN.fullmatch(read["run"])[1], "%Y%m%dT%H%M%S.%f")  # type: ignore[index]
        except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
            raise Unparseable(f"not what earlier runs are written as: {line[:100]!r}") from error
        answers[read["run"]] = Output(read["status"], stdout, stderr, began.replace(tzinfo=UTC).timestamp(), 0)
    return answers
