"""Characters that act instead of being read: they repaint a terminal, reorder a line, hide in it, or end it."""

from __future__ import annotations

import json
import re
from typing import Any

_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, among them the escape that repaints a terminal
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # formats
    "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe00-\ufe0f"  # joiners, fillers and variants, which nobody sees
    "\ud800-\udfff\ue000-\uf8ff\U000e0000-\U0010ffff"  # surrogates; tags and more variants; private use
    "\ufdd0-\ufdef\ufffe\uffff]"  # not characters: no XML
)


def printable(text: str) -> str:
    """The same text with nothing in it that acts instead of being read; such characters are spelled out."""
    return _UNFIT.sub(_spelled, text.replace("\r\n", "\n"))


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Text that whoever prints it may read, and that says the same to a parser; without `indent`, one line."""
    return _UNFIT.sub(_escaped, json.dumps(value, ensure_ascii=False, indent=indent))


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
