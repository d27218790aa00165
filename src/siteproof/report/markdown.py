"""Text for report.md and a forge's job summary, which link, notify and format whatever looks like it.

Escaping is not enough: forges look for mentions, issues, commits, emoji and addresses in the text that a page shows,
after its entities were read. They leave code alone. So a value is code, and of a sentence all but plain words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby

from markupsafe import Markup, escape

from siteproof.text.characters import printable

# What is Markup below is put together from parts that were escaped.
_PLAIN_WORD = re.compile(r"""["(']{0,2}[A-Za-z]+(?:['’-][A-Za-z]+)*["')]{0,2}[,.;:!?]?["')]?|[0-9]{1,6}[,;]?|[—–·…]""")
_AROUND = re.compile(r"""([("']{0,2})(.+?)([)"',.;:!?]{0,3})""", re.DOTALL)
_MAY_BE_A_COMMIT = re.compile(r"(?i)[0-9a-f]{7,}")
_TICKS = re.compile("`+")


def code(text: str) -> Markup:
    """The text as code, for the middle of a line, also of a table's; a line break of it stays one."""
    return Markup("<br>".join(_line_of_code(line) for line in printable(text).expandtabs(4).splitlines()))  # noqa: S704  # nosec B704


def prose(text: str) -> Markup:
    """A sentence that stays one: its plain words as they are, everything else in it as code."""
    return Markup("<br>".join(_sentence(line, _line_of_code) for line in printable(text).splitlines()))  # noqa: S704  # nosec B704


def page_code(text: str) -> Markup:
    """As code inside a block of HTML, where Markdown is not read."""
    return Markup(_page_code(" ".join(printable(text).split())))  # noqa: S704  # nosec B704


def page_prose(text: str) -> Markup:
    """A sentence inside a block of HTML."""
    return Markup(_sentence(printable(text), _page_code))  # noqa: S704  # nosec B704


def _sentence(line: str, as_code: Callable[[str], str]) -> str:
    said = []
    for plain, words in groupby(line.split(), _is_plain):
        together = " ".join(words)
        before, core, after = ("", "", together) if plain else _AROUND.fullmatch(together).groups()  # type: ignore[union-attr]
        said.append(f"{escape(before)}{as_code(core) if core else ''}{escape(after)}")
    return " ".join(said)


def _page_code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _is_plain(word: str) -> bool:
    return _PLAIN_WORD.fullmatch(word) is not None and not _MAY_BE_A_COMMIT.search(word)


def _line_of_code(line: str) -> str:
    # A bar would end a table's cell, in code too, and cannot be escaped there without a trace.
    return "&#124;".join(_span(part) for part in line.split("|"))


def _span(text: str) -> str:
    if not text.strip():
        return text
    fence = "`" * (max(map(len, _TICKS.findall(text)), default=0) + 1)
    room = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{room}{text}{room}{fence}"
