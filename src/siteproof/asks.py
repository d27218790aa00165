"""Questions, and what a check awaits to ask them.

A check is a coroutine. `await ask` suspends it with the asks it needs next; whoever drives it (rounds.py) has them
answered, a round at a time, and resumes it. Nothing in here touches a host.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, NoReturn, TypeVar

from siteproof.errors import PrivilegeRefused, ProbeError, ToolFailed, ToolMissing, Unparseable

T = TypeVar("T")
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

    @cached_property
    def key(self) -> str:
        """Stable across processes, runs and machines: the evidence is found by it."""
        canonical = json.dumps({"kind": type(self).__name__, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Command(Question):
    """A POSIX sh script for the host's batch.

    Three variables are set for it: `$ROOT` is the prefix that runs one command as root (empty for root),
    `$NONCE` is unique to the run (for the name of what is borrowed), `$DEADLINE` is `deadline_s`.
    """

    script: str = ""
    tools: tuple[str, ...] = ()
    """The tools the script runs, for `--check-access` and for the lab, which breaks them."""
    root: bool = False
    slow: bool = False
    """Gets a channel of its own beside the batch, so that it holds nobody up."""


@dataclass(frozen=True)
class Stream(Question):
    """A TCP conversation from the host, spoken by a client on our side through its SSH connection.

    `parameters` are the protocol's own, as (name, value) pairs.
    """

    address: str = ""
    port: int = 0
    protocol: Literal["dns"] = "dns"
    parameters: tuple[tuple[str, str], ...] = ()


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


@dataclass(frozen=True)
class Ask(Generic[T]):
    """A question together with the pure function that reads its answer. `await` it inside a check."""

    question: Question
    parse: Callable[[Output], T]
    answers: frozenset[int] = frozenset({0})
    """Statuses that are answers. Any other is ToolFailed."""

    def read(self, output: Output) -> T:
        """Validate and parse. Raises ToolMissing, PrivilegeRefused, ToolFailed or Unparseable, never anything else."""
        try:
            refuse_no_answer(self.question, output, self.answers)
            return self.parse(output)
        except ProbeError as error:
            error.host = error.host or self.question.host
            raise
        except Exception as error:  # noqa: BLE001 - a parser's bug is never an answer
            raise Unparseable(
                f"{self.question.probe} on {self.question.host}: the output could not be read "
                f"({type(error).__name__}: {error})",
                host=self.question.host,
            ) from error

    def __await__(self) -> Generator[Request, list[Any], T]:
        (answer,) = yield Request((self,), partial=False)
        if isinstance(answer, ProbeError):
            raise answer
        return answer  # type: ignore[no-any-return]

    def __bool__(self) -> NoReturn:
        raise TypeError(f"`await` is missing before {self.question.probe}")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(f"`await` is missing before {self.question.probe}")

    __hash__ = None  # type: ignore[assignment]


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


Check = Coroutine[Request, list[Any], None]


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
    root: bool = False,
    answers: frozenset[int] = frozenset({0}),
    deadline_s: float = 5.0,
    probe_class: ProbeClass = "reads",
    slow: bool = False,
) -> Ask[T]:
    """An ask that runs a POSIX sh script on `host`. `probe` names it for people, `tools` lists what it runs.

    A missing tool is found before the script starts, so that no part of a pipeline can hide it.
    """
    question = Command(
        host=host,
        probe=probe,
        deadline_s=deadline_s,
        probe_class=probe_class,
        script=f"need {' '.join(tools)}\n{script}" if tools else script,
        tools=tools,
        root=root,
        slow=slow,
    )
    return Ask(question, parse, answers)


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
