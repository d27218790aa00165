"""What a check would ask after the first round, as far as that can be known before anything is answered.

The check is driven on with stand-ins for its answers. Whatever it does with one gives another stand-in, and each
list has one element, so that the questions come out as templates: `DNS A forgejo.home.example at ‹resolver›`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from siteproof.asks import Ask, Pair, ProbeClass, Question, Request, StandIn, heaviest
from siteproof.judging.plan import Make
from siteproof.judging.rounds import MAX_ROUNDS


class Answer(StandIn):
    """Stands for something that only an answer will tell. Compares equal to everything, so that a check goes on."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Answer:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter((self,))

    def _same(self, *_: object, **__: object) -> Any:
        return self

    def _yes(self, _: object = None) -> bool:
        return True

    def _one(self) -> int:
        return 1

    __call__ = __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = _same
    __and__ = __or__ = _same
    __int__ = _one
    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = __contains__ = __bool__ = _yes
    __hash__ = str.__hash__

    def __ne__(self, _: object) -> bool:
        return False

    def __len__(self) -> int:
        return 1


def _stand_in(ask: Ask[Any]) -> Any:
    if isinstance(ask, Pair):
        return tuple(map(_stand_in, ask.asks))
    return Answer(f"‹{ask.questions[0].probe}›")


@dataclass(frozen=True)
class Foreseen:
    """What a check would ask, as far as that can be known."""

    first: tuple[Question, ...]
    later: tuple[Question, ...]
    """Of the rounds after the first."""
    complete: bool
    """Nothing else can come."""

    @property
    def probe_class(self) -> ProbeClass:
        """That of the heaviest of them."""
        return heaviest((*self.first, *self.later))


NOTHING = Foreseen((), (), complete=True)


def foreseen(start: Make) -> Foreseen:
    """Drive a check to its end on stand-ins. Raises nothing: a check that cannot be driven asks nothing here."""
    check, first, later, complete = start(), dict[str, Question](), dict[str, Question](), True
    try:
        request: Request = check.send(None)
        first = {question.key: question for ask in request.asks for question in ask.questions}
        for _ in range(MAX_ROUNDS - 1):
            request = check.send([_stand_in(ask) for ask in request.asks])
            later |= {question.key: question for ask in request.asks for question in ask.questions}
    except StopIteration:
        pass
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a stand-in is not good enough for what the check does with it; or it skips
        complete = False
    finally:
        check.close()
    return Foreseen(tuple(first.values()), tuple(q for key, q in later.items() if key not in first), complete)
