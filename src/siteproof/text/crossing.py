"""What goes from one process of a run to another: plain data that every pipe and every file can carry.

A host may say any bytes, and a check may put any object beside its result. One of them that a pipe refuses would end
the worker that sends it, with everything that this worker knew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

import execnet

_NOT_CHARACTERS = re.compile("[\ud800-\udfff]")
_LEAST = -(2**31)


def encodable(text: str) -> str:
    """The same text with what no encoding has spelled out: `\\xff` for a byte that was no UTF-8."""
    return text if text.isascii() else _NOT_CHARACTERS.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def plain(value: Any) -> Any:
    """The same data of nothing but what JSON and execnet know; other objects become their text."""
    if isinstance(value, str):
        return encodable(str(value))
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, int):
        return int(value) if value >= _LEAST else str(int(value))
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, list | Set):
        return [plain(item) for item in value]
    return encodable(str(value))


def refuse_uncarried(value: Any) -> None:
    """Raise whatever execnet has against sending it."""
    execnet.dumps(value)
