"""Drive checks round by round, and judge them on evidence.

Before anything runs every check is driven to its first `await`; the questions found there are round 1. With their
answers each check is driven again, from its start, to the first question that is still open: round 2. A check is a
pure function of evidence, so running it again costs nothing and changes nothing.

What changes something on a host is asked when nothing else is left to ask, and one at a time on each host: no other
check sees the site while it is changed, and no two changes meet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from siteproof.asks import REMARKS, Answers, Ask, Check, Command, Question, Recorded, Remarks, Request
from siteproof.errors import NotRecorded, ProbeError, TooManyRounds

MAX_ROUNDS = 3


@dataclass
class Trace:
    """What happened while a check was driven."""

    asked: dict[str, Question] = field(default_factory=dict)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    """What the evidence has to each of them, so that it is read once."""
    missing: list[ProbeError] = field(default_factory=list)
    """Answers that an `each` went on without."""
    rounds: int = 0
    remarks: Remarks = field(default_factory=Remarks)


def answer(ask: Ask[Any], trace: Trace) -> Any:
    """The parsed answer, or the ProbeError that stands in its place."""

    def recorded(question: Question) -> Recorded:
        if (found := trace.recorded.get(question.key)) is not None:
            return found
        if trace.rounds > MAX_ROUNDS:
            return TooManyRounds(f"a check may ask in at most {MAX_ROUNDS} rounds", host=question.host)
        return NotRecorded(f"{question.probe} on {question.host}: not in the evidence", host=question.host)

    try:
        return ask.read(recorded)
    except ProbeError as error:
        return error


def drive(check: Check, evidence: Answers, trace: Trace, *, to_the_end: bool) -> Request | None:
    """Run `check` on evidence until it ends (None) or, unless `to_the_end`, until it waits for an unasked question.

    Raises whatever the check raises.
    """
    token = REMARKS.set(trace.remarks)
    try:
        request: Request = check.send(None)
        while True:
            trace.rounds += 1
            questions = {q.key: q for a in request.asks for q in a.questions}
            trace.asked.update(questions)
            trace.recorded.update((k, found) for k, q in questions.items() if (found := evidence.get(q)) is not None)
            if not to_the_end and not questions.keys() <= trace.recorded.keys():
                return request
            answers = [answer(a, trace) for a in request.asks]
            if request.partial:
                trace.missing += [a for a in answers if isinstance(a, ProbeError)]
            request = check.send(answers)
    except StopIteration:
        return None
    finally:
        check.close()
        REMARKS.reset(token)


def next_questions(
    checks: Iterable[Callable[[], Check]], evidence: Answers
) -> tuple[list[Callable[[], Check]], dict[str, Question]]:
    """The checks that still wait for an answer, and the questions that they wait for."""
    waiting: list[Callable[[], Check]] = []
    questions: dict[str, Question] = {}
    for make in checks:
        trace = Trace()
        try:
            request = drive(make(), evidence, trace, to_the_end=False)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S112 - pytest.skip() is none of Exception; all of it is judged later
            continue
        if request is not None and trace.rounds <= MAX_ROUNDS:
            waiting.append(make)
            questions.update((key, q) for key, q in trace.asked.items() if key not in trace.recorded)
    return waiting, questions


def gather(
    checks: Collection[Callable[[], Check]],
    evidence: Answers,
    ask: Callable[[int, Collection[Question]], None],
    aside: Callable[[Collection[Question]], Future[None]] | None = None,
) -> list[int]:
    """Ask everything the checks want to know; returns the number of questions of each round.

    `ask(round, questions)` returns when every question is in the evidence, as an answer or as a ProbeError. `aside` has
    the slow ones of a round asked meanwhile: no other check waits for a pull that fails only after half a minute.
    """
    asked: list[int] = []
    live = list(checks)
    pending: dict[Future[None], frozenset[str]] = {}
    while True:
        for done in [future for future in pending if future.done()]:
            done.result()
            del pending[done]
        live, open_ = next_questions(live, evidence)
        going = frozenset().union(*pending.values())
        free = [q for q in open_.values() if q.key not in going and q.probe_class != "changes"]
        slow = [q for q in free if isinstance(q, Command) and q.slow]
        if slow and aside is not None:
            free = [q for q in free if not (isinstance(q, Command) and q.slow)]
            pending[aside(slow)] = frozenset(q.key for q in slow)
        if not free and pending:
            wait(pending, return_when=FIRST_COMPLETED)
            continue
        # What changes a host waits until nothing else is asked anywhere.
        questions = free or _one_a_host(open_.values())
        if not questions:
            return asked
        asked.append(len(questions))
        ask(len(asked), questions)


def _one_a_host(questions: Iterable[Question]) -> list[Question]:
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.host, question)
    return list(first.values())


def judge(check: Check, evidence: Answers, trace: Trace) -> None:
    """Run the check on the evidence. Returns if the invariant held; raises AssertionError if it did not.

    Raises ProbeError if it could not be judged: nothing was asked, or a part of an `each` is missing and what came
    does not violate the invariant by itself.
    """
    drive(check, evidence, trace, to_the_end=True)
    if not trace.asked:
        raise TypeError("the check awaited nothing, so it has seen nothing")
    if trace.missing:
        raise trace.missing[0]
