"""What an operator sees while hosts are asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pytest

from siteproof.asks import Question
from siteproof.gather import base as gather

Asking = Callable[[Collection[Question], gather.Report], None]

_NAMED_AFTER_S = 10.0
"""Where nothing can be rewritten, whoever is waited for is named after so long, and again each time."""
_MOST_NAMED = 4


@dataclass
class _Part:
    """Questions that are being asked."""

    label: str
    hosts: dict[str, str]
    """Whoever is waited for, with how far they are."""
    of: int
    """How many hosts there were."""
    begun: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        named = [f"{host}{said}" for host, said in sorted(self.hosts.items())]
        shown = ", ".join(named[:_MOST_NAMED]) + (" …" if len(named) > _MOST_NAMED else "")
        seconds = time.monotonic() - self.begun
        return (
            f"{self.label}: {self.of - len(self.hosts)}/{self.of} hosts have answered, {seconds:.0f} s, "
            f"waiting for {shown}"
        )


class Progress:
    """One line a round: rewritten in place on a terminal; elsewhere written once, and who is long waited for named."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        reporter: Any = self._reporter
        self._quiet = reporter is None or getattr(config.option, "verbose", 0) < 0
        self._in_place = not self._quiet and bool(reporter._tw.hasmarkup)
        self._lock = threading.Lock()
        self._parts: list[_Part] = []
        self._ended = threading.Event()

    def __enter__(self) -> Progress:
        if not self._quiet:
            threading.Thread(target=self._remind, daemon=True, name="progress").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def round(self, number: int, questions: Collection[Question], ask: Asking) -> None:
        """Have a round's questions answered, and say how it goes."""
        self._ask(f"round {number}", questions, ask)

    def aside(self, questions: Collection[Question], ask: Asking) -> None:
        """The same for slow questions, in a thread of their own beside the rounds."""
        self._ask("meanwhile", questions, ask)

    def _ask(self, label: str, questions: Collection[Question], ask: Asking) -> None:
        hosts = {question.host for question in questions}
        part = _Part(label, dict.fromkeys(hosts, ""), len(hosts))
        counted = f"{label}: {_count(questions, 'question')} on {_count(hosts, 'host')}"
        with self._lock:
            self._parts.append(part)
            self._rewrite(f"{counted} …")
        try:
            ask(questions, lambda event: self._event(part, event))
        finally:
            with self._lock:
                self._parts.remove(part)
        with self._lock:
            self._write(f"{counted} in {time.monotonic() - part.begun:.1f} s")

    def _event(self, part: _Part, event: gather.Progress) -> None:
        with self._lock:
            if event.phase in ("done", "failed"):
                part.hosts.pop(event.host, None)
            elif event.host in part.hosts:
                part.hosts[event.host] = f" ({event.done} of {event.total})" if event.phase == "asking" else ""
            if part.hosts:
                self._rewrite(str(part))

    def _remind(self) -> None:
        while not self._ended.wait(1.0 if self._in_place else _NAMED_AFTER_S):
            with self._lock:
                late = [part for part in self._parts if part.hosts]
                if self._in_place and late:
                    self._rewrite(str(late[-1]))
                elif not self._in_place:
                    for part in late:
                        if time.monotonic() - part.begun >= _NAMED_AFTER_S:
                            self._write(str(part))

    def _rewrite(self, text: str) -> None:
        if self._in_place:
            self._reporter.rewrite(text[: self._reporter._tw.fullwidth - 1], erase=True)

    def _write(self, text: str) -> None:
        self._rewrite(text)
        if self._in_place:
            self._reporter.write_line("")
        elif not self._quiet:
            self._reporter.write_line(text)


def say(config: pytest.Config, line: str) -> None:
    """One line on the terminal, if there is one."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line)


def _count(things: Collection[Any], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
