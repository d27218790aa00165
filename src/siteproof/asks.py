"""Questions, and what a check awaits to ask them.

A check is a coroutine. `await ask` suspends it with the asks it needs next; whoever drives it (rounds.py) has them
answered, a round at a time, and resumes it. Nothing in here touches a host.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeVar

from siteproof.errors import (
    ChannelRefused,
    NoControl,
    PrivilegeRefused,
    ProbeError,
    TimedOut,
    ToolFailed,
    ToolMissing,
    Truncated,
    Unanswered,
    Unparseable,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
C = TypeVar("C")
K = TypeVar("K")

ProbeClass = Literal["reads", "sends", "borrows", "changes"]


@dataclass(frozen=True)
class Question:
    """One thing to ask on one host. Two questions with the same `key` are the same question."""

    host: str
    probe: str
    """The probe's name as an operator reads it, e.g. `getent ahostsv4`."""
    deadline_s: float
    probe_class: ProbeClass
    retries: int = field(default=0, kw_only=True)
    """How often it is asked again where no answer came for a reason that may pass (see `again`)."""
    retry_on: tuple[int, ...] = field(default=(), kw_only=True)
    """Statuses that are asked again like that although they are answers: of what is known to flap."""

    BESIDE: ClassVar[frozenset[str]] = frozenset({"probe_class", "retries", "retry_on"})
    """Fields that are about the question, and change nothing of what the host is asked."""

    def again(self, answer: Recorded) -> bool:
        """Whether this answer is one of those that may be another one in a moment."""
        if isinstance(answer, Output):
            return answer.status in self.retry_on
        return isinstance(answer, TimedOut | Truncated | ChannelRefused | Unanswered)

    @cached_property
    def key(self) -> str:
        """Stable across processes, runs, machines and releases: the evidence is found by it.

        A field at its default is left out, so that a field which comes later leaves old bundles readable.
        """
        asked = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}
        canonical = {"kind": type(self).__name__} | {name: asked[name] for name in asked.keys() - self.BESIDE}
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Command(Question):
    """A POSIX sh script for the host's batch.

    Three variables are set for it: `$ROOT` is the prefix that runs one command as root (empty for root),
    `$NONCE` is unique to the run (for the name of what is borrowed), `$DEADLINE` is `deadline_s`.
    """

    BESIDE = Question.BESIDE | {"probe", "tools", "slow", "root_patterns"}

    script: str = ""
    tools: tuple[str, ...] = ()
    """The tools the script runs, for `--check-access` and for the lab, which breaks them."""
    root: bool = False
    root_patterns: tuple[tuple[str, str], ...] = ()
    """What a variable may hold that only the host knows and that `$ROOT` runs, as (name, glob) pairs. A star must be
    harmless, since sudo takes anything for it. Everything else is read from the script (see `privilege`)."""
    slow: bool = False
    """Gets a channel of its own beside the batch, so that it holds nobody up."""


@dataclass(frozen=True)
class Stream(Question):
    """A TCP conversation from the host, spoken by a client on our side through its SSH connection.

    `parameters` are the protocol's own, as (name, value) pairs.
    """

    BESIDE = Question.BESIDE | {"probe"}

    address: str = ""
    port: int = 0
    protocol: Literal["dns", "http", "https"] = "dns"
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Earlier(Question):
    """What earlier runs were answered to the same question. No host is asked; see `history`."""

    of: str = ""
    """The key of that question."""
    path: str = ""
    """The directory of those runs; empty for where this run's own is."""
    since: str = ""
    """ISO date; older runs say nothing of the site as it is now."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a host answered. For a stream: `status` 0 and the received message in `stdout`."""

    status: int
    stdout: bytes
    stderr: bytes
    started: float
    """Seconds since the epoch, UTC, on the operator's clock."""
    seconds: float

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def errors(self) -> str:
        return self.stderr.decode("utf-8", "surrogateescape")


Recorded = Output | ProbeError


class Ask(Generic[T_co]):
    """Questions together with the pure function that reads their answers. `await` it inside a check."""

    questions: tuple[Question, ...]

    def read(self, recorded: Callable[[Question], Recorded]) -> T_co:
        """The typed answer. Raises ProbeError where there is none, never anything else."""
        raise NotImplementedError

    def __await__(self) -> Generator[Request, list[Any], T_co]:
        (answer,) = yield Request((self,), partial=False)
        if isinstance(answer, ProbeError):
            raise answer
        return answer  # type: ignore[no-any-return]

    def then(self, read: Callable[[T_co], C]) -> Ask[C]:
        """The same questions, and `read` of their answer. `read` may raise ProbeError."""
        return Derived(self, read)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"`await` is missing before {self.questions[0].probe}")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(f"`await` is missing before {self.questions[0].probe}")

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Single(Ask[T]):
    """One question and its parser."""

    question: Question
    parse: Callable[[Output], T]
    answers: frozenset[int] = frozenset({0})
    """Statuses that are answers. Any other is ToolFailed."""

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return (self.question,)

    def read(self, recorded: Callable[[Question], Recorded]) -> T:
        output = recorded(self.question)
        try:
            if isinstance(output, ProbeError):
                raise output
            refuse_no_answer(self.question, output, self.answers)
            return self.parse(output)
        except ProbeError as error:
            error.host = error.host or self.question.host
            raise
        except Exception as error:  # noqa: BLE001 - a parser's bug is never an answer
            raise unreadable(self.question, error) from error


def unreadable(question: Question, error: Exception) -> Unparseable:
    """A parser's bug, told as an answer that could not be read."""
    reason = f"{type(error).__name__}: {error}"
    host = question.host
    return Unparseable(f"{question.probe} on {host}: the output could not be read ({reason})", host=host)


@dataclass(frozen=True, eq=False)
class Derived(Ask[C], Generic[T, C]):
    """See `Ask.then`."""

    ask: Ask[T]
    derive: Callable[[T], C]

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return self.ask.questions

    def read(self, recorded: Callable[[Question], Recorded]) -> C:
        answer, asked = self.ask.read(recorded), self.questions[0]
        try:
            return self.derive(answer)
        except ProbeError as error:
            error.host = error.host or asked.host
            raise
        except Exception as error:  # noqa: BLE001 - as in Single
            raise unreadable(asked, error) from error


@dataclass(frozen=True, eq=False)
class Controlled(Ask[T], Generic[T, C]):
    """An ask whose answer may be a silence, and the control beside it. See `controlled`."""

    ask: Ask[T]
    control: Ask[C]
    silent: Callable[[T], bool]
    seen: Callable[[C], bool]
    proves: str

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return (*self.ask.questions, *self.control.questions)

    def read(self, recorded: Callable[[Question], Recorded]) -> T:
        answer = self.ask.read(recorded)
        if not self.silent(answer):
            return answer
        asked = self.ask.questions[0]
        nothing = f"{asked.probe} on {asked.host} showed nothing"
        try:
            control = self.control.read(recorded)
        except ProbeError as error:
            raise NoControl(f"{nothing}, and its control could not be asked: {error}", host=asked.host) from error
        if not self.seen(control):
            raise NoControl(f"{nothing}, but neither did its control: {self.proves}", host=asked.host)
        return answer


def controlled(
    ask: Ask[T], control: Ask[C], *, silent: Callable[[T], bool], seen: Callable[[C], bool], proves: str
) -> Ask[T]:
    """`ask`, where a `silent` answer counts only if the `control`, asked from the same place, was `seen`.

    Otherwise awaiting raises NoControl; `proves` says what the control would have shown.
    """
    return Controlled(ask, control, silent, seen, proves)


@dataclass(frozen=True, eq=False)
class Combined(Ask[T]):
    """Several asks in one round, and the pure function that makes one answer of theirs. All of them, or none."""

    asks: tuple[Ask[Any], ...]
    combine: Callable[..., T]

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return tuple(question for ask in self.asks for question in ask.questions)

    def read(self, recorded: Callable[[Question], Recorded]) -> T:
        return self.combine(*(ask.read(recorded) for ask in self.asks))


def both(one: Ask[T], other: Ask[C]) -> Ask[tuple[T, C]]:
    """Two asks of different kinds in one round; awaiting raises the first ProbeError of the two."""
    return Combined((one, other), lambda first, second: (first, second))


@dataclass(frozen=True, eq=False)
class Heard(Ask[T | None]):
    """See `or_silence`."""

    ask: Ask[T]

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return self.ask.questions

    def read(self, recorded: Callable[[Question], Recorded]) -> T | None:
        try:
            return self.ask.read(recorded)
        except Unanswered:
            return None


def or_silence(ask: Ask[T], *, control: Ask[C], proves: str) -> Ask[T | None]:
    """`ask`, and None where nobody answers it although the `control`, asked from the same place, is answered."""
    return controlled(
        Heard(ask), Heard(control), silent=lambda a: a is None, seen=lambda c: c is not None, proves=proves
    )


@dataclass(frozen=True)
class Request:
    """What a suspended check waits for. `partial`: it goes on with the answers that came."""

    asks: tuple[Ask[Any], ...]
    partial: bool


@dataclass(frozen=True)
class Each(Generic[K, T]):
    """See `each` and `total`."""

    asks: Mapping[K, Ask[T]]
    partial: bool

    def __await__(self) -> Generator[Request, list[Any], dict[K, T]]:
        if not self.asks:
            return {}
        answers = yield Request(tuple(self.asks.values()), partial=self.partial)
        errors = [a for a in answers if isinstance(a, ProbeError)]
        if errors and (not self.partial or len(errors) == len(answers)):
            raise errors[0]
        return {key: a for key, a in zip(self.asks, answers, strict=True) if not isinstance(a, ProbeError)}

    def __bool__(self) -> NoReturn:
        raise TypeError("`await` is missing before each() or total()")


def each(asks: Mapping[K, Ask[T]]) -> Each[K, T]:
    """All asks in one round; awaiting gives the answers that came.

    Raises the first ProbeError if none came. If some are missing and the check passes all the same, its verdict is
    unknown: what was not seen cannot have held.
    """
    return Each(asks, partial=True)


def total(asks: Mapping[K, Ask[T]]) -> Each[K, T]:
    """All asks in one round; raises the first ProbeError if any is missing. For sums and counts."""
    return Each(asks, partial=False)


Check = Coroutine[Any, Any, None]


@dataclass
class Remarks:
    """What a check says beside its verdict."""

    notes: list[str] = field(default_factory=list)


REMARKS: ContextVar[Remarks | None] = ContextVar("siteproof_remarks", default=None)


def note(text: str) -> None:
    """Add a sentence to the result of the check that is being judged."""
    if (remarks := REMARKS.get()) is not None and text not in remarks.notes:
        remarks.notes.append(text)


def command(
    host: str,
    script: str,
    *,
    probe: str,
    parse: Callable[[Output], T],
    tools: tuple[str, ...],
    may_use: tuple[str, ...] = (),
    root: bool = False,
    root_patterns: Mapping[str, tuple[str, ...]] | None = None,
    answers: frozenset[int] = frozenset({0}),
    deadline_s: float = 5.0,
    probe_class: ProbeClass = "reads",
    slow: bool = False,
    retries: int = 0,
    retry_on: tuple[int, ...] = (),
) -> Ask[T]:
    """An ask that runs a POSIX sh script on `host`. `probe` names it for people, `tools` lists what it runs.

    A missing tool is found before the script starts, so that no part of a pipeline can hide it; `may_use` are tools
    that the script looks for by itself.
    `root_patterns`: variable -> what it may hold (see Command). `retries` and `retry_on` are Question's.
    """
    question = Command(
        host=host,
        probe=probe,
        deadline_s=deadline_s,
        probe_class=probe_class,
        script=f"need {' '.join(tools)}\n{script}" if tools else script,
        tools=tools + may_use,
        root=root,
        root_patterns=tuple((name, glob) for name, globs in (root_patterns or {}).items() for glob in globs),
        slow=slow,
        retries=retries,
        retry_on=retry_on,
    )
    return Single(question, parse, answers)


MISSING = "siteproof: not on this host: "
"""What the `need` function of the batch prints before it ends with status 127."""


def refuse_no_answer(question: Question, output: Output, answers: frozenset[int]) -> None:
    """Raise where the status says that the tool did not answer."""
    where = f"{question.probe} on {question.host}"
    errors = output.errors.strip()
    last = errors.splitlines()[-1] if errors else ""
    if output.status == 127 and last.startswith(MISSING):
        raise ToolMissing(f"{question.host} has no {last.removeprefix(MISSING)}", host=question.host)
    if output.status != 0 and last.startswith(("sudo:", "doas:")):
        if "command not found" in last:
            raise ToolMissing(f"{where}: {last}", host=question.host)
        raise PrivilegeRefused(f"{where}: {last}", host=question.host)
    if output.status in answers:
        return
    if output.status in (126, 127):
        raise ToolMissing(f"{where}: {last or f'ended with status {output.status}'}", host=question.host)
    said = f": {last}" if last else ", without a word on stderr"
    raise ToolFailed(f"{where} ended with status {output.status}, which is not an answer{said}", host=question.host)
