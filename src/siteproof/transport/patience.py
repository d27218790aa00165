"""How long what waits in vain is waited for: what fails to one target on one host is not asked one by one to the end.

A dead resolver, a hung daemon, a silent server keep each question about them waiting to its deadline. Two or three tell
as much as fifty. What is then left out is never an answer: it is unknown, and says what was waited for; only a server
that has answered nothing at all to this host is silent to the others too.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

from siteproof.asks import Command, Question
from siteproof.errors import GivenUp, ProbeError, TimedOut, Unanswered
from siteproof.evidence.store import Attempt

IN_VAIN_S = 3
"""Seconds: what takes longer and is no transfer of data has waited for something, whatever it says in the end."""
SLOW_IN_VAIN_S = 15
"""The same of what is slow as a matter of course, and came to nothing."""
GIVE_UP_S = 8
"""Seconds waited in vain for one thing, one question after the other, of which there are two at least …"""
_ENOUGH_S = 12
"""… or one that alone has taken so long."""


@dataclass
class _Wait:
    seconds: float = 0.0
    """In a row; by whom, in `examples`."""
    examples: list[str] = field(default_factory=list)
    silent: bool = True
    """Nothing but silence has come, ever. Of a command its tool has to say so (`Question.silence`)."""


class Patience:
    """What one host has been waiting for. Threads share it."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._waits: dict[str, _Wait] = {}
        self._lock = threading.Lock()

    def saw(self, question: Question, attempt: Attempt) -> None:
        """Remember how long an attempt took. An error at once, such as a refused connection, keeps nobody waiting."""
        if not question.waits:
            return
        with self._lock:
            wait = self._waits.setdefault(question.waits, _Wait())
            wait.silent = wait.silent and _silent(question, attempt)
            if _in_vain(question, attempt):
                wait.seconds += attempt.seconds
                if question.probe not in wait.examples:
                    wait.examples.append(question.probe)
            else:
                wait.seconds = 0.0
                wait.examples.clear()

    def over(self, question: Question) -> ProbeError | None:
        """Why it is not asked, if it is not."""
        with self._lock:
            for what in (question.waits, *question.needs):
                wait = self._waits.get(what, _Wait())
                if wait.seconds >= (GIVE_UP_S if len(wait.examples) > 1 else _ENOUGH_S):
                    return self._given_up(question, what)
        return None

    def given_up(self, question: Question) -> ProbeError:
        """The same, of what the host's own shell has given up."""
        with self._lock:
            return self._given_up(question, question.waits)

    def _given_up(self, question: Question, what: str) -> ProbeError:
        wait = self._waits.get(what, _Wait())
        waited = f"{', '.join(wait.examples[:3]) or 'the questions before it'} waited {wait.seconds:.0f} s"
        said = f"{question.probe} on {self._host} was not asked, since {what} kept others waiting in vain: {waited}"
        silent = what == question.waits and wait.silent and len(wait.examples) > 1
        return (Unanswered if silent else GivenUp)(said, host=self._host)


def _silent(question: Question, attempt: Attempt) -> bool:
    """Whether nothing came back from what it waited for: the server's end of it, or what the host's own tool says."""
    if isinstance(attempt.answer, ProbeError):
        return isinstance(attempt.answer, Unanswered)
    return bool(question.silence) and re.search(question.silence, attempt.answer.text) is not None


def _in_vain(question: Question, attempt: Attempt) -> bool:
    if isinstance(attempt.answer, TimedOut):
        return True
    if not (isinstance(question, Command) and question.slow):
        return attempt.seconds >= IN_VAIN_S
    nothing = isinstance(attempt.answer, ProbeError) or attempt.answer.status in question.vain_on
    return nothing and attempt.seconds >= SLOW_IN_VAIN_S
