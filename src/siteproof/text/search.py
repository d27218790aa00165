"""What is sought of a secret, the ways in which a tool may have written it, and where in some data one of them occurs.

Letters and digits are left alone by nearly all tools. That is what makes it cheap: text in which not even the longest
run of letters and digits of a secret occurs is not looked at any further.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Protocol

from siteproof.text.quoting import any_case, any_case_of_digits, hints_of_a_character, quoted, whole
from siteproof.text.views import ESCAPED_LINE_END, Views

Span = tuple[int, int]

SHORTEST_SECRET = 4
SHORTEST_LINE = 8
"""A line of a longer secret that is shorter than this may be a word that many have, such as `contexts:`."""
SHORTEST_SENTENCE = 16
"""The same of a line of several words, or of letters alone."""

_LETTERS = re.compile(r"[A-Za-z0-9]+")
_WRAPPED = rb"(?:(?:" + ESCAPED_LINE_END + rb"|\\?\r?\n)[ \t]{0,64}+){0,3}+"
_BASE64_SIGNS = {
    ord("+"): rb"(?:[+-]|%(?:25){0,4}+2[bB]|\\{1,16}+u002[bB]|&#43;|&#[xX]2[bB];|&plus;)",
    ord("/"): rb"(?:\\{0,16}+/|_|%(?:25){0,4}+2[fF]|\\{1,16}+u002[fF]|&#47;|&#[xX]2[fF];|&sol;)",
}
_BETWEEN_BYTES = rb"(?:[ :-]|" + ESCAPED_LINE_END + rb"|\r?\n[ \t]{0,64}+){0,3}+"


def is_too_short(secret: str) -> bool:
    """To hide it would take ordinary text with it."""
    return len(secret.strip()) < SHORTEST_SECRET


def _pieces(secret: str) -> Iterator[str]:
    """What is sought of a secret: without the blanks around it, and each of its lines."""
    if is_too_short(secret):
        return
    yield secret.strip()
    lines = [line.strip() for line in secret.strip().splitlines()]
    yield from (line for line in lines if len(lines) > 1 and _tells(line))


def _tells(line: str) -> bool:
    """Whether a line of a secret is one too, and not a word of its format."""
    if line.startswith("-----"):
        return False
    is_one_word = not re.search(r"\s", line) and not re.fullmatch(r"[A-Za-z]*[:{\[(,]*", line)
    return len(line) >= (SHORTEST_LINE if is_one_word else SHORTEST_SENTENCE)


class Way(Protocol):
    """A way to spell a secret."""

    is_numeric: bool

    def find(self, views: Views) -> Iterator[Span]: ...


class _Quoted:
    """Character by character, each as any tool may have quoted it."""

    def __init__(self, plain: str) -> None:
        self._plain = plain
        runs = sorted(_LETTERS.findall(plain), key=len)
        self.run = runs[-1].encode() if runs and (len(runs[-1]) > 2 or plain.isascii()) else b""
        """The longest run of letters and digits."""
        self._hints = () if self.run else hints_of_a_character(plain)
        self.is_numeric = re.fullmatch(r"[0-9a-fA-F.+-]+", plain) is not None
        self._reach = 64 + 48 * len(plain)

    def may_be_in(self, views: Views) -> bool:
        """Where there is no such run."""
        return any(hint in views.lower for hint in self._hints)

    def find(self, views: Views) -> Iterator[Span]:
        near = [(self.run, views.data)] if self.run else [(hint, views.lower) for hint in self._hints]
        for hint, data in near:
            for begin, end in _around(hint, data, self._reach):
                yield from _spans(self._pattern, views.data, begin, end)
                if not self.run and views.unescaped is not None:
                    yield from _spans(self._pattern_of_escaped_letters, views.data, begin, end)
        if not self.run:
            return
        if views.unescaped is not None and views.unescaped.count(self.run) > views.bare.count(self.run):
            yield from _spans(self._pattern_of_escaped_letters, views.data)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        flexible = quoted(self._plain, escaped_letters=False)
        # Where one secret's character is another tool's escape, as in `50%25`, only the whole word tells.
        exact = [s for s in sorted(whole(self._plain), key=len, reverse=True) if not re.fullmatch(flexible, s)]
        return re.compile(b"|".join([flexible, *map(any_case_of_digits, exact)]), re.DOTALL)

    @cached_property
    def _pattern_of_escaped_letters(self) -> re.Pattern[bytes]:
        return re.compile(quoted(self._plain, escaped_letters=True), re.DOTALL)


class _Base64:
    """The characters that only the secret decides, at one of the three places in which it can start."""

    def __init__(self, core: bytes) -> None:
        self._core = core
        self.is_numeric = False
        runs = sorted(re.findall(rb"[A-Za-z0-9]+", core), key=len)
        self.hint = runs[-1] if runs and len(runs[-1]) >= 8 else core

    def find(self, views: Views) -> Iterator[Span]:
        yield from _spans(self._pattern, views.data)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        return re.compile(_WRAPPED.join(_BASE64_SIGNS.get(c, bytes([c])) for c in self._core))


class _Hex:
    def __init__(self, plain: bytes) -> None:
        self.hint = plain.hex().encode()
        self.is_numeric = len(plain) < 8  # it might be a part of a checksum

    def find(self, views: Views) -> Iterator[Span]:
        yield from _spans(self._pattern, views.data)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        digits = self.hint.decode()
        return re.compile(_BETWEEN_BYTES.join(any_case(digits[i : i + 2]) for i in range(0, len(digits), 2)))


class _CutOff:
    """The beginning of a secret before an ellipsis, or the end of one after it: pytest and others cut what is long."""

    is_numeric = False
    _ELLIPSIS = re.compile(rb"\.\.\.|\xe2\x80\xa6")

    def __init__(self, pieces: Collection[str]) -> None:
        spellings = {spelling for plain in pieces for spelling in (plain, repr(plain)[1:-1], json.dumps(plain)[1:-1])}
        self._places: dict[bytes, list[tuple[bytes, int]]] = {}
        """A few bytes of a secret -> where they begin in which."""
        for data in sorted(spelling.encode("utf-8", "surrogatepass") for spelling in spellings):
            for place in range(len(data) - SHORTEST_SECRET + 1):
                self._places.setdefault(data[place : place + SHORTEST_SECRET], []).append((data, place))

    def find(self, views: Views) -> Iterator[Span]:
        data = views.data
        for found in self._ELLIPSIS.finditer(data):
            begin, end = found.span()
            for secret, place in self._places.get(data[max(0, begin - SHORTEST_SECRET) : begin], ()):
                length = place + SHORTEST_SECRET
                if begin >= length and data[begin - length : begin] == secret[:length]:
                    yield begin - length, begin
            for secret, place in self._places.get(data[end : end + SHORTEST_SECRET], ()):
                if data.startswith(secret[place:], end):
                    yield end, end + len(secret) - place


def _ways(plain: str) -> Iterator[Way]:
    data = plain.encode("utf-8", "surrogatepass")
    yield _Quoted(plain)
    yield _Hex(data)
    yield from (_Base64(core) for offset in range(3) if len(core := _base64_core(data, offset)) >= SHORTEST_SECRET)


def _base64_core(plain: bytes, offset: int) -> bytes:
    first = -(-offset * 8 // 6)
    end = (offset + len(plain)) * 8 // 6
    return base64.b64encode(b"\0" * offset + plain)[first:end]


def _spans(pattern: re.Pattern[bytes], data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Span]:
    yield from (found.span() for found in pattern.finditer(data, begin, len(data) if end is None else end))


def _around(run: bytes, data: bytes, reach: int) -> Iterator[Span]:
    """The parts of the data near an occurrence; those that overlap are one."""
    place = data.find(run)
    while place >= 0:
        begin, end = max(0, place - reach), place + reach
        while 0 <= (place := data.find(run, place + 1)) <= end:
            end = place + reach
        yield begin, min(end, len(data))


class Sought:
    """The ways to spell some secrets, by where the hint of each is looked for."""

    @classmethod
    def of(cls, secrets: Collection[str]) -> Sought:
        """All ways to spell any of them."""
        pieces = {piece for secret in secrets for piece in _pieces(secret)}
        ways = [way for piece in sorted(pieces) for way in _ways(piece)]
        return cls([*ways, _CutOff(pieces)] if pieces else [])

    def __init__(self, ways: Sequence[Way]) -> None:
        self.ways = ways
        self._quoted = [(way.run, way) for way in ways if isinstance(way, _Quoted) and way.run]
        self._rare = [way for way in ways if isinstance(way, _Quoted) and not way.run]
        self._base64 = [(way.hint, way) for way in ways if isinstance(way, _Base64)]
        self._cut = [way for way in ways if isinstance(way, _CutOff)]
        self._hex = [(way.hint, way) for way in ways if isinstance(way, _Hex)]

    def occurring(self, views: Views) -> list[Way]:
        """Those that may occur; all others do not."""
        data, unescaped, unwrapped, digits = views.data, views.unescaped, views.unwrapped, views.digits
        found: list[Way] = [way for run, way in self._quoted if run in data]
        if unescaped is not None:
            plain = set(map(id, found))
            found += [way for run, way in self._quoted if run in unescaped and id(way) not in plain]
        found += [way for way in self._rare if way.may_be_in(views)]
        found += [way for hint, way in self._base64 if hint in unwrapped]
        found += [way for hint, way in self._hex if hint in digits]
        found += self._cut if b"..." in data or b"\xe2\x80\xa6" in data else []
        return found
