"""Several commands in one script, their outputs told apart."""

from __future__ import annotations

import shlex

from siteproof.errors import Unparseable

MARK = "== siteproof "


def section(name: str) -> str:
    """The sh line that begins a section; what is printed until the next one belongs to it."""
    return f"printf '\\n%s\\n' {shlex.quote(MARK + name)}"


def split(text: str) -> dict[str, str]:
    """Section name -> its text. Raises Unparseable where something stands before the first or a name comes twice."""
    sections: dict[str, str] = {}
    before, *rest = f"\n{text}".split(f"\n{MARK}")
    if before.strip() or not rest:
        raise Unparseable(f"the script's own marks are missing: {text[:200]!r}")
    for part in rest:
        name, _, body = part.partition("\n")
        if name in sections:
            raise Unparseable(f"the section {name!r} came twice")
        sections[name] = body.removesuffix("\n")
    return sections


def whole_number(sections: dict[str, str], name: str) -> int:
    """The number in a section. Raises Unparseable if there is none."""
    try:
        return int(sections[name])
    except (KeyError, ValueError):
        raise Unparseable(f"no number in the section {name!r}: {sections.get(name)!r}") from None
