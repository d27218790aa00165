"""The ask that runs a script on a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from siteproof.asks.ask import Ask, Single
from siteproof.asks.questions import Command, Output, ProbeClass
from siteproof.asks.words import Word, assignments

T = TypeVar("T")


def command(
    host: str,
    script: str,
    *,
    probe: str,
    parse: Callable[[Output], T],
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
) -> Ask[T]:
    """An ask that runs a POSIX sh script on `host`. `probe` names it for people, `tools` lists what it runs.

    A missing tool is found before the script starts, so that no part of a pipeline can hide it; `may_use` are tools
    that the script looks for by itself. `script` is constant text; what is not comes in as `given`: variable -> its
    word, and `@` -> the positional parameters.
    `root_patterns`: variable -> what it may hold (see Command). `retries` and `retry_on` are Question's.
    """
    script = assignments(given or {}) + script
    question = Command(
        host=host,
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
    )
    return Single(question, parse, answers)
