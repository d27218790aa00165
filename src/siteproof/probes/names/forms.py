"""One form for what is spelt in several: names, and the text of files."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"#.*|^[ \t]*;.*", re.MULTILINE)
_NOT_UTF_8 = re.compile("[\ud800-\udfff]")


def in_one_form(name: str) -> str:
    """`Forgejo.Home.Example.` -> `forgejo.home.example`; what is not ASCII as the DNS has it (`xn--…`).

    A name that IDNA does not know stays as it is, in lower case.
    """
    name = name.rstrip(".").lower()
    if name.isascii():
        return name
    # As in dns.py: only who asks needs dnspython.
    import dns.exception
    import dns.name

    try:
        return dns.name.from_unicode(name).to_text(omit_final_dot=True)
    except (dns.exception.DNSException, UnicodeError):
        return name


def is_in(name: str, zone: str) -> bool:
    """Whether `name` is the zone's own name or below it, both in one form."""
    return name == zone or name.endswith(f".{zone}")


def in_any_encoding(text: str) -> str:
    """`text` with comments that are UTF-8: somebody's name in Latin-1 is no reason not to read the lines below it."""
    return _COMMENT.sub(lambda comment: _NOT_UTF_8.sub("\N{REPLACEMENT CHARACTER}", comment[0]), text)
