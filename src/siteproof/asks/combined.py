"""Several asks as one: with a control beside them, of different kinds, as many as there are of a kind."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from siteproof.asks.ask import Ask, Request
from siteproof.asks.questions import Question, Recorded
from siteproof.errors import NoControl, ProbeError, Unanswered

T = TypeVar("T")
C = TypeVar("C")
K = TypeVar("K")


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
class Witnessed(Ask[T], Generic[T, C]):
    """An ask, and what has to agree with it. See `witnessed`."""

    ask: Ask[T]
    witness: Ask[C]
    agrees: Callable[[T, C], bool]
    means: str

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return (*self.ask.questions, *self.witness.questions)

    def read(self, recorded: Callable[[Question], Recorded]) -> T:
        answer = self.ask.read(recorded)
        asked = self.ask.questions[0]
        said = f"{asked.probe} on {asked.host} has an answer"
        try:
            witness = self.witness.read(recorded)
        except ProbeError as error:
            raise NoControl(f"{said}, and its witness could not be asked: {error}", host=asked.host) from error
        if not self.agrees(answer, witness):
            raise NoControl(f"{said} that its witness does not share: {self.means}", host=asked.host)
        return answer


def witnessed(ask: Ask[T], witness: Ask[C], *, agrees: Callable[[T, C], bool], means: str) -> Ask[T]:
    """`ask`, whose answer counts only if an independent `witness` agrees with it; otherwise awaiting raises NoControl.

    A control vouches for a silence. A witness vouches for any answer: a cache, a wrapper or a proxy gives yesterday's
    answer together with yesterday's control, and both look well. `means` says what a disagreement comes from.
    """
    return Witnessed(ask, witness, agrees, means)


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


class Pair(Combined[tuple[T, C]]):
    """See `both`."""


def both(one: Ask[T], other: Ask[C]) -> Ask[tuple[T, C]]:
    """Two asks of different kinds in one round; awaiting raises the first ProbeError of the two."""
    return Pair((one, other), lambda first, second: (first, second))


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


def uniform(answers: Mapping[K, Any], value: C) -> dict[K, C]:
    """What `answers` are if all are `value`; `assert answers == uniform(answers, value)` shows the outliers by name."""
    return dict.fromkeys(answers, value)
