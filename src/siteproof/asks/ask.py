"""An ask: questions with the pure function that reads their answers, and what a check awaits to have them asked."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from siteproof.asks.questions import Output, Question, Recorded
from siteproof.asks.statuses import refuse_no_answer, refuse_withheld
from siteproof.asks.stderr import refuse_unknown_words
from siteproof.errors import ProbeError, Unparseable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
C = TypeVar("C")

Check = Coroutine[Any, Any, None]


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
            refuse_withheld(self.question, output)
            refuse_unknown_words(self.question, output)
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


@dataclass(frozen=True)
class Request:
    """What a suspended check waits for. `partial`: it goes on with the answers that came."""

    asks: tuple[Ask[Any], ...]
    partial: bool
