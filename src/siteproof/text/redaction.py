r"""Finds secrets in text, however a tool has spelled them, and puts a mark in their place.

`docs/redaction.md` lists what is promised. A tool spells a secret otherwise than the vault because it quotes or encodes
what it prints (`quoting`): so each character of a secret may stand in any of its spellings. Base64 and hex know no
characters; they have patterns of their own. Where a secret stands is found by `search`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from siteproof.text.search import Sought, Span
from siteproof.text.views import Views

T = TypeVar("T")

REDACTED = "«redacted»"
_MARKS = re.compile(
    rb"(?:\xc2\xab|\\{1,16}+u00[aA][bB]|&laquo;|&#171;|(?:%[cC]2)?%[aA][bB])redacted"
    rb"(?:\xc2\xbb|\\{1,16}+u00[bB][bB]|&raquo;|&#187;|(?:%[cC]2)?%[bB][bB])"
)


class Redactor:
    """Replaces secrets wherever they stand in bytes, text or plain data. What it has replaced stays as it is."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._sought = Sought.of(secrets)

    def __bool__(self) -> bool:
        return bool(self._sought.ways)

    def __call__(self, data: bytes) -> bytes:
        return _redacted(data, self._sought) if self else data

    def text(self, text: str) -> str:
        return _redacted_text(text, self._sought) if self else text

    def everywhere(self, value: T, *, spare: Collection[str] = ()) -> T:
        """The same data with every string in it redacted. What fields and keys are called is not data.

        `spare` names fields of dataclasses that stay as they are: times, and the words of an enumeration.
        """
        if not self:
            return value
        # One look at all of it: nearly always there is nothing, and else only few of the secrets.
        occurring = self._sought.occurring(Views("\0".join(_strings(value, spare)).encode("utf-8", "surrogatepass")))
        if not occurring:
            return value
        sought = Sought(occurring)
        changed: T = _mapped(value, lambda text: _redacted_text(text, sought), spare)
        return changed

    def sparing(self, text: str) -> Redactor:
        """One that leaves `text` and all numbers as they are: for files whose format has words of its own."""
        views = Views(text.encode())
        spared = {id(way) for way in self._sought.occurring(views) if any(way.find(views))}
        spared |= {id(way) for way in self._sought.ways if way.is_numeric}
        found = Redactor(())
        found._sought = Sought([way for way in self._sought.ways if id(way) not in spared])
        return found


NOTHING_SECRET = Redactor(())


def apart(redacted: Mapping[str, str]) -> dict[str, str]:
    """Name -> the name to show, where `redacted` has what redaction made of it: names that differ still do."""
    taken = {name for name, said in redacted.items() if said == name}
    shown: dict[str, str] = {}
    for name, said in redacted.items():
        shown[name], number = said, 1
        while said != name and shown[name] in taken:
            number += 1
            shown[name] = f"{said}-{number}"
        taken.add(shown[name])
    return shown


def _redacted_text(text: str, sought: Sought) -> str:
    return _redacted(text.encode("utf-8", "surrogatepass"), sought).decode("utf-8", "surrogatepass")


def _redacted(data: bytes, sought: Sought) -> bytes:
    views = Views(data)
    spans = sorted(span for way in sought.occurring(views) for span in way.find(views))
    if not spans:
        return data
    marks = [found.span() for found in _MARKS.finditer(data)]
    mark, kept, end = REDACTED.encode(), list[bytes](), 0
    for begin, after in _merged(spans, marks):
        kept += [data[end:begin], mark]
        end = after
    return b"".join([*kept, data[end:]])


def _merged(spans: Iterable[Span], marks: Sequence[Span]) -> Iterator[Span]:
    """In order and apart. What lies in a mark is a word of ours."""
    begins = [begin for begin, _ in marks]
    current: Span | None = None
    for begin, end in spans:
        nearest = bisect_right(begins, begin) - 1
        if nearest >= 0 and end <= marks[nearest][1]:
            continue
        if current is not None and begin < current[1]:
            current = current[0], max(current[1], end)
            continue
        if current is not None:
            yield current
        current = begin, end
    if current is not None:
        yield current


def _strings(value: Any, spare: Collection[str]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name not in spare:
                yield from _strings(getattr(value, field.name), spare)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item, spare)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item, spare)


def _mapped(value: Any, change: Callable[[str], str], spare: Collection[str]) -> Any:
    if isinstance(value, str):
        return change(value) if type(value) is str else value  # else a word of an enumeration
    if is_dataclass(value) and not isinstance(value, type):
        before = {f.name: getattr(value, f.name) for f in fields(value) if f.init and f.name not in spare}
        after = {name: _mapped(item, change, spare) for name, item in before.items()}
        return replace(value, **after) if after != before else value
    if isinstance(value, Mapping):
        return {key: _mapped(item, change, spare) for key, item in value.items()}
    if isinstance(value, list | tuple):
        found = [_mapped(item, change, spare) for item in value]
        return found if isinstance(value, list) else tuple(found)
    return value
