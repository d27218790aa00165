"""Several commands in one script, their outputs told apart, and the end of the last one seen.

A text that was cut short is often a whole and legal answer of its own: two addresses of three, a list without its last
line. So a script prints a mark when it came to its end, and without it nothing of the output is read.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, NoReturn

from siteproof.errors import Unparseable

MARK = "== siteproof "
_END = "end"


def section(name: str) -> str:
    """The sh line that begins a section; what is printed until the next one belongs to it."""
    return f"printf '\\n%s\\n' {shlex.quote(MARK + name)}"


END = section(_END)
"""The sh line at a script's end. A script that does not get there, `|| exit`, has answered nothing."""


class Sections(dict[str, str]):
    """Section name -> its text."""

    def __missing__(self, name: str) -> NoReturn:
        raise Unparseable(f"the script printed no section {name!r}")


def split(text: str, *titles: str | tuple[str, ...]) -> Sections:
    """The sections of a script's output.

    `titles` are the sections that the script prints, in its order; one that ends in a blank stands for any that begin
    like it, and several in a tuple may take turns. What a tool prints may look like a mark of ours: so no section is
    taken that does not stand where the script prints it, and none twice.

    Raises Unparseable for these, where something stands before the first or after the end, the end is missing, or the
    text is not one: NUL bytes, not UTF-8.
    """
    readable(text)
    sections = Sections()
    ahead = [(title,) if isinstance(title, str) else title for title in titles]
    before, *rest = f"\n{text}".split(f"\n{MARK}")
    if before.strip() or not rest:
        raise Unparseable(f"the script's own marks are missing: {text[:200]!r}")
    for part in rest:
        name, _, body = part.partition("\n")
        if name in sections:
            raise Unparseable(f"the section {name!r} came twice")
        if _END in sections:
            raise Unparseable(f"the section {name!r} came after the end")
        if titles and name != _END:
            ahead = _from(name, ahead)
        sections[name] = body.removesuffix("\n")
    if sections.pop(_END, "missing").strip():
        raise Unparseable(f"the output does not end where the script did: {text[-200:]!r}")
    return sections


def _from(name: str, ahead: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """What may come after the section `name`. Raises Unparseable where it may not come itself."""
    for place, titles in enumerate(ahead):
        for title in titles:
            if name == title or (title.endswith(" ") and name.startswith(title)):
                return ahead[place:] if title.endswith(" ") or len(titles) > 1 else ahead[place + 1 :]
    raise Unparseable(f"the script prints no section {name[:200]!r}, or not there")


def readable(text: str) -> str:
    """`text`, if it is one. No tool that is asked prints NUL bytes or bytes that are not UTF-8."""
    if (broken := re.search("[\0\ud800-\udfff]", text)) is not None:
        raise Unparseable(f"the output is not text: {text[max(0, broken.start() - 100) : broken.start() + 20]!r}")
    return text


def whole_number(sections: Sections, name: str) -> int:
    """The number in a section. Raises Unparseable if there is none."""
    if not re.fullmatch("[0-9]{1,9}", sections[name]):
        raise Unparseable(f"no number in the section {name!r}: {sections[name][:200]!r}")
    return int(sections[name])


def from_json(text: str, tool: str) -> Any:
    """The value that `text` spells. Raises Unparseable for anything else, and for a key with two values."""
    try:
        return json.loads(readable(text), object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        raise Unparseable(f"{tool} printed no JSON: {text[:200]!r}") from None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if any(found[key] != value for key, value in pairs):
        raise ValueError("a key has two values")
    return found


def words(text: str) -> frozenset[str]:
    """A vocabulary: what a tool may print where everything else is refused."""
    return frozenset(text.split())
