"""Data with its escapes undone, in which it is quickly seen whether a secret may occur at all."""

from __future__ import annotations

import re
from functools import cached_property

from siteproof.text.quoting import AMPERSAND

_LETTER = rb"(?:[46][1-9a-fA-F]|[57][0-9aA]|3[0-9])"
_OCTAL_LETTER = rb"(?:0[67][0-7]|1[0-7][0-7])"
_ESCAPED_LETTER = re.compile(
    rb"\\{1,16}+(?:(?:u00|x)(?P<after_x>" + _LETTER + rb")|(?P<octal>" + _OCTAL_LETTER + rb"))|"
    rb"%(?:25){0,4}+(?P<percent>"
    + _LETTER
    + rb")|"
    + AMPERSAND
    + rb"#(?:0{0,4}(?P<decimal>[0-9]{2,3})|[xX]0{0,4}(?P<entity>"
    + _LETTER
    + rb"));"
)
# Each begins with a byte that is quickly found.
_SIGNS_OF_ESCAPED_LETTERS = (
    (b"%", re.compile(b"%(?:25){0,4}+" + _LETTER)),
    (b"\\", re.compile(rb"\\(?:(?:u00|x)" + _LETTER + b"|" + _OCTAL_LETTER + b")")),
    (b"&", re.compile(rb"&(?:amp;){0,4}+#[xX0-9]")),
    (b"u0026", re.compile(rb"u0026(?:amp;){0,4}+#[xX0-9]")),
)

ESCAPED_LINE_END = rb"(?:\\{1,16}+(?:[rn]|u000[aAdD])|%(?:25){0,4}+0[aAdD]|&#(?:1[03]|[xX]0?[aAdD]);)"
_ESCAPED_BASE64 = re.compile(
    rb"(?P<end>" + ESCAPED_LINE_END + rb")|(?P<plus>\\{1,16}+u002[bB]|%(?:25){0,4}+2[bB]|&#(?:43|[xX]2[bB]);|&plus;)|"
    rb"(?P<slash>\\{1,16}+u002[fF]|%(?:25){0,4}+2[fF]|&#(?:47|[xX]2[fF]);|&sol;)"
)
_USUAL_ALPHABET = bytes.maketrans(b"-_", b"+/")


class Views:
    """The data as a hint is looked for in it. Each is made when it is first needed."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def unescaped(self) -> bytes | None:
        """With letters and digits that were escaped as themselves; None where none were, as nearly always."""
        some = any(sign in self.data and found.search(self.data) for sign, found in _SIGNS_OF_ESCAPED_LETTERS)
        return _ESCAPED_LETTER.sub(_letter, self.data) if some else None

    @cached_property
    def bare(self) -> bytes:
        """Without letters and digits that were escaped."""
        return _ESCAPED_LETTER.sub(b"\0", self.data)

    @cached_property
    def lower(self) -> bytes:
        return self.data.lower()

    @cached_property
    def unwrapped(self) -> bytes:
        """Base64 without line ends, in its usual alphabet."""
        return _ESCAPED_BASE64.sub(_of_base64, self.data).translate(_USUAL_ALPHABET, b" \t\r\n\\")

    @cached_property
    def digits(self) -> bytes:
        """Hex without what stands between bytes."""
        return re.sub(ESCAPED_LINE_END, b"", self.lower).translate(None, b" \t\r\n:-")


def _of_base64(found: re.Match[bytes]) -> bytes:
    return {"end": b"", "plus": b"+", "slash": b"/"}[found.lastgroup or "end"]


def _letter(found: re.Match[bytes]) -> bytes:
    if octal := found["octal"]:
        code = int(octal, 8)
    elif decimal := found["decimal"]:
        code = int(decimal)
    else:
        code = int(found["after_x"] or found["percent"] or found["entity"], 16)
    letter = bytes([code & 0xFF])
    return letter if letter.isalnum() else found[0]
