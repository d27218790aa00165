"""How a name is written, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

Part = str | int


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None."""
    by_folded = {_folded(each): each for each in known}
    close = difflib.get_close_matches(_folded(name), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean `…`?`, to be put behind a sentence; empty when nothing is near."""
    meant = nearest(name, known)
    return f"; did you mean `{meant}`?" if meant else ""


def pointer(parts: Iterable[Part]) -> str:
    """The JSON pointer (RFC 6901) of a place within a value: `/names/0/internal`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def dotted(name: str, parts: Sequence[Part]) -> str:
    """The same place as people write it: `siteproof_dns.names[0].internal`."""
    return name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_")
