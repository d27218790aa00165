"""Text that hosts sent, made fit for terminals, XML and pages."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

from siteproof.text.characters import printable

_WORD = re.compile(r"\w[\w.]*\w")
SHORTEST_WORD = 2


def cut(text: str, width: int) -> str:
    """One line of at most `width` characters."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def wrapped(text: str, width: int, at_most: int) -> list[str]:
    """Lines of at most `width` characters; what goes beyond `at_most` lines ends in an ellipsis."""
    # What goes beyond is cut before, since a word of any length takes the square of it to break.
    lines = [
        piece
        for line in printable(text).expandtabs(4).splitlines()
        for piece in textwrap.wrap(
            line[: width * (at_most + 1)], width, break_on_hyphens=False, subsequent_indent=_indent(line, width)
        )
        or [""]
    ]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) <= at_most:
        return lines
    return [*lines[: at_most - 1], cut(lines[at_most - 1], width - 2).rstrip() + " …"]


def _indent(line: str, width: int) -> str:
    depth = len(line) - len(line.lstrip())
    return " " * min(depth, width // 4)


def listed(names: Sequence[str], width: int, at_most: int, *, separator: str = ", ") -> list[str]:
    """The names as wrapped lines that break between names only; says how many did not fit."""
    lines: list[str] = []
    for index, name in enumerate(names):
        piece = printable(name) + (separator.rstrip() if index < len(names) - 1 else "")
        if lines and len(lines[-1]) + 1 + len(piece) <= width:
            lines[-1] += f" {piece}"
        elif len(lines) < at_most:
            lines.append(cut(piece, width))
        else:
            more = f" … and {len(names) - index} more"
            lines[-1] = cut(lines[-1], width - len(more)) + more
            break
    return lines


def telling_words(seen: str, expected: str) -> frozenset[str]:
    """The words that only `seen` has: what to look for in the raw evidence."""
    return frozenset(_words(seen) - _words(expected))


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text) if len(word) >= SHORTEST_WORD}


def most_telling(texts: Sequence[str], words: Collection[str]) -> list[int]:
    """The indices of the texts, those with most of the words first."""
    return sorted(range(len(texts)), key=lambda i: -sum(word in texts[i] for word in words))


def excerpt(text: str, words: Collection[str], width: int, at_most: int) -> list[str]:
    """At most so many lines of a text: the lines with one of the words if there are any, long ones cut around it."""
    lines = [line.rstrip() for line in printable(text).expandtabs(4).splitlines() if line.strip()]
    chosen = [line for line in lines if any(word in line for word in words)] or lines
    if len(chosen) > at_most or sum(map(len, chosen)) > width * at_most:
        chosen = chosen[: max(1, at_most - 1)]
    left_out = len(lines) - len(chosen)
    room = max(1, at_most - bool(left_out)) // max(1, len(chosen))
    said = [piece for line in chosen for piece in _pieces(_around(line, words, width * room), width)[:room]]
    if left_out and len(said) < at_most:
        said.append(cut(f"… {left_out} more {'line' if left_out == 1 else 'lines'}", width))
    return said


def _pieces(line: str, width: int) -> list[str]:
    """Broken after a space or a comma where there is one: JSON of one line has nothing else."""
    pieces = []
    while len(line) > width:
        end = max(line.rfind(" ", 0, width), line.rfind(",", 0, width)) + 1
        end = end if end > width // 2 else width
        pieces.append(line[:end].rstrip())
        line = line[end:]
    return [*pieces, line]


def _around(line: str, words: Iterable[str], width: int) -> str:
    if len(line) <= width:
        return line
    places = [place for word in words if (place := line.find(word)) >= 0]
    start = max(0, min(places, default=0) - width // 2)
    start = min(start, len(line) - width)
    return cut(line, width) if start == 0 else "…" + cut(line[start + 1 :], width - 1)
