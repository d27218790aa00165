"""What a gatherer is, wherever it runs."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from siteproof.asks import Consent, Output, Question

WITHOUT_OPTIONS = Consent()
"""What a run without `--read-only` and `--changes` allows."""

BUDGET_S = 120.0
"""Seconds that a run may take to ask; what is missing then is unknown."""

Phase = Literal["connecting", "asking", "done", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far one host is in the round."""

    host: str
    phase: Phase
    done: int
    total: int


Report = Callable[[Progress], None]


def new_nonce() -> str:
    """What the run's borrowed things are named with."""
    return secrets.token_hex(6)


class Gatherer(ABC):
    """Owns every connection of a run."""

    @abstractmethod
    def ask(self, questions: Collection[Question], progress: Report | None = None) -> None:
        """One round. Returns when each question has an answer or a ProbeError in the store.

        A question that is already there is not asked again.
        """

    @abstractmethod
    def run(self, host: str, command: str, timeout_s: float) -> Output:
        """One command, live, recorded nowhere. Raises ProbeError."""

    @contextmanager
    def beside(self) -> Iterator[Gatherer]:
        """For another thread, which is not to wait for what this one asks."""
        yield self

    @property
    @abstractmethod
    def duplicates(self) -> list[tuple[str, str]]:
        """Pairs of hosts that have shown the same machine-id."""

    @abstractmethod
    def close(self) -> None: ...
