"""The ask that runs a script on a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TypeVar

from siteproof.asks.ask import Ask, Single
from siteproof.asks.hosts import Host, name_of
from siteproof.asks.questions import Command, Output, ProbeClass
from siteproof.asks.words import Word, assignments
from siteproof.errors import TooLarge

T = TypeVar("T")

LARGE = 4 << 20
"""Bytes, as many as the transport keeps."""
SMALL = 256 << 10
"""For what does not grow with the site: what a tool says of one name, one server, one connection."""


def command(
    host: Host,
    script: str,
    *,
    probe: str,
    parse: Callable[[Output], T],
    at_most: int = LARGE,
    given: Mapping[str, Word | Sequence[Word]] | None = None,
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
    waits_for: str = "",
    needs: tuple[str, ...] = (),
    vain_on: tuple[int, ...] = (),
    silence: str = "",
) -> Ask[T]:
    """An ask that runs a POSIX sh script on `host`. `probe` names it for people, `tools` lists what it runs.

    A missing tool is found before the script starts, so that no part of a pipeline can hide it; `may_use` are tools
    that the script looks for by itself. `script` is constant text; what is not comes in as `given`: variable -> its
    word, and `@` -> the positional parameters. `parse` reads `at_most` so many bytes.
    `root_patterns`: variable -> what it may hold (see Command). `retries`, `retry_on`, `waits_for`, `needs`, `vain_on`
    and `silence` are Question's.
    """
    script = assignments(given or {}) + script
    question = Command(
        host=name_of(host),
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
        waits_for=waits_for,
        needs=needs,
        vain_on=vain_on,
        silence=silence,
    )
    return Single(question, bounded(parse, at_most), answers)


def bounded(parse: Callable[[Output], T], at_most: int) -> Callable[[Output], T]:
    """`parse`, for no more than `at_most` bytes: otherwise TooLarge."""

    @wraps(parse)
    def read(output: Output) -> T:
        if (length := len(output.stdout) + len(output.stderr)) > at_most:
            raise TooLarge(f"{length} bytes came, and no more than {at_most} are read")
        return parse(output)

    return read
