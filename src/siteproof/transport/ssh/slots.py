"""How many channels of one connection may be open at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from siteproof.transport.wire import Refused

T = TypeVar("T")

_LAST_CLOSES_S = 1.0
"""A session that we have closed still counts on sshd's side until its processes have ended."""
_AGAIN_S = 0.05


class Slots:
    """At most `most`, and fewer once sshd was seen to refuse one beside so many others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._changed = threading.Condition()
        self._waited_in_vain = False

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self._most)
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    @contextmanager
    def open(self, opener: Callable[[], T]) -> Iterator[T]:
        """What `opener` opens, in a slot. Raises Refused when it is refused although nothing else is open."""
        give_up = None
        while True:
            with self.one():
                try:
                    opened = opener()
                except Refused:
                    if self._alone():
                        give_up = give_up or time.monotonic() + _LAST_CLOSES_S
                        if self._waited_in_vain or time.monotonic() > give_up:
                            self._waited_in_vain = True  # nor is the next one waited for, until one has been opened
                            raise
                        time.sleep(_AGAIN_S)
                    continue
                self._waited_in_vain = False
                yield opened
                return

    def _alone(self) -> bool:
        """Whether no other slot is taken. If some are, they are from now on enough."""
        with self._changed:
            others = self._taken - 1
            self._most = max(1, min(self._most, others))
            return others == 0
