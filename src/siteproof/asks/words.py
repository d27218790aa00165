"""Values that become words of a script.

One rule: a script is constant text, and whatever is not goes in as a `Word`. A word was checked against the form that
such a value has, and stands in the script as one quoted word of a variable. So no shell, sed, nft or docker reads
statements out of what a host said, or a file of the inventory.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from siteproof.errors import Unparseable

LONGEST = 4096
_NAME = re.compile(r"[a-z][a-z_0-9]*|@")


class StandIn(str):
    """Stands for what only an answer will tell, where a plan is made before anything is asked. It has no form yet."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Word:
    """Text that a `Form` has looked at. Made by nothing else."""

    text: str

    @property
    def quoted(self) -> str:
        return shlex.quote(self.text)


class Form:
    """What a kind of value looks like: `SWARM_ID(value)` is the word, or raises Unparseable."""

    def __init__(self, what: str, pattern: str) -> None:
        self.what = what
        self._pattern = re.compile(pattern, re.ASCII)

    def __call__(self, value: object) -> Word:
        """Raises Unparseable where `value` does not have this form, whoever said it."""
        text = str(value)
        if isinstance(value, StandIn):
            return Word(text)
        if len(text) > LONGEST or not self._pattern.fullmatch(text):
            raise Unparseable(f"not {self.what}, so that nobody is asked about it: {text[:100]!r}")
        return Word(text)


_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"

NUMBER = Form("a whole number", r"0|[1-9][0-9]{0,9}")
ADDRESS = Form("an IP address", r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]{2,39}(?:[0-9.]{7,15})?")
HOST_NAME = Form("a name in the DNS", rf"(?=.{{1,254}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
SWARM_ID = Form("an id of the swarm", r"[0-9a-z]{25}")
CONTAINER_ID = Form("a container's id", r"[0-9a-f]{64}")
PATH = Form("an absolute path", r"(?:/[^/\0-\x1f\x7f]+)+/?|/")
LINE = Form("a line of text", r"[^\0-\x1f\x7f]*")
"""Of the inventory, never of a host: any characters but those that move the cursor or end the line."""


def assignments(given: Mapping[str, Word | Sequence[Word]]) -> str:
    """The sh lines that give a script its variables; `@` are its positional parameters."""
    lines = []
    for name, value in given.items():
        words = [value] if isinstance(value, Word) else list(value)
        if not _NAME.fullmatch(name) or not all(isinstance(word, Word) for word in words):
            raise TypeError(f"a script is given words, as variables in lower case, not {name}={value!r}")
        if name == "@":
            lines.append(" ".join(["set --", *(word.quoted for word in words)]))
        elif len(words) == 1:
            lines.append(f"{name}={words[0].quoted}")
        else:
            raise TypeError(f"{name} takes one word, not {len(words)}")
    return "".join(f"{line}\n" for line in lines)
