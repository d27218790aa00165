"""How long a run may ask. What nobody has answered by then is unknown, and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from siteproof.errors import OverBudget, ProbeError


class Asked(Protocol):
    """What is being asked of a host."""

    @property
    def host(self) -> str: ...

    def fail_all(self, error: ProbeError) -> None: ...


class Budget:
    """Counts from the first question. Threads share it."""

    def __init__(self, seconds: float, ends: Callable[[], None]) -> None:
        self._seconds = seconds
        self._ends = ends
        self._lock = threading.Lock()
        self._asked: set[Asked] = set()
        self._timer: threading.Timer | None = None
        self._expired = False

    def begin(self) -> None:
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(self._seconds, self._expire)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()

    @contextmanager
    def covers(self, asked: Asked) -> Iterator[None]:
        """While this is asked, it is ended with the budget; after that, at once."""
        with self._lock:
            self._asked.add(asked)
        try:
            if self._expired:
                asked.fail_all(self.over(asked.host))
            yield
        finally:
            with self._lock:
                self._asked.discard(asked)

    def over(self, host: str) -> OverBudget:
        said = f"{host} had not answered when the {self._seconds:g} s were over that a run may ask (--budget)"
        return OverBudget(said, host=host)

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
            going = list(self._asked)
        for asked in going:
            asked.fail_all(self.over(asked.host))
        self._ends()
