"""What an operator sees while hosts are asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import pytest

from siteproof.asks import Question
from siteproof.gather import base as gather


class Progress:
    """One line a round: rewritten in place on a terminal, written once elsewhere."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        reporter: Any = self._reporter
        self._quiet = reporter is None or getattr(config.option, "verbose", 0) < 0
        self._in_place = not self._quiet and bool(reporter._tw.hasmarkup)
        self._lock = threading.Lock()
        self._waiting: set[str] = set()

    def round(
        self, number: int, questions: Collection[Question], ask: Callable[[Collection[Question], gather.Report], None]
    ) -> None:
        """Have a round's questions answered, and say how it goes."""
        hosts = {question.host for question in questions}
        begin = time.monotonic()
        self._waiting = set(hosts)
        self._line(f"round {number}: {_count(questions, 'question')} on {_count(hosts, 'host')} …")
        ask(questions, lambda event: self._event(number, len(hosts), event))
        seconds = time.monotonic() - begin
        self._line(
            f"round {number}: {_count(questions, 'question')} on {_count(hosts, 'host')} in {seconds:.1f} s", end=True
        )

    def _event(self, number: int, hosts: int, event: gather.Progress) -> None:
        with self._lock:
            if event.phase in ("done", "failed"):
                self._waiting.discard(event.host)
            if self._in_place and self._waiting:
                waiting = sorted(self._waiting)
                shown = ", ".join(waiting[:4]) + (" …" if len(waiting) > 4 else "")
                self._line(f"round {number}: {hosts - len(waiting)}/{hosts} hosts have answered, waiting for {shown}")

    def _line(self, text: str, *, end: bool = False) -> None:
        if self._quiet:
            return
        if self._in_place:
            self._reporter.rewrite(text[: self._reporter._tw.fullwidth - 1], erase=True)
            if end:
                self._reporter.write_line("")
        elif end:
            self._reporter.write_line(text)


def say(config: pytest.Config, line: str) -> None:
    """One line on the terminal, if there is one."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line)


def _count(things: Collection[Any], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
