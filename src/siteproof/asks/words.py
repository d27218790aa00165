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
from ipaddress import IPv4Address, IPv6Address

from siteproof.errors import Unparseable

Address = IPv4Address | IPv6Address

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


NOTHING = Word("")
"""The word of a variable that is empty this time."""

Value = str | int | Address
"""What may become a word. Nothing else has a spelling of its own: None is not the name `None`."""


class Form:
    """What a kind of value looks like: `SWARM_ID(value)` is the word, or raises Unparseable."""

    def __init__(self, what: str, pattern: str) -> None:
        self.what = what
        self._pattern = re.compile(pattern, re.ASCII)

    def __call__(self, value: Value) -> Word:
        """Raises Unparseable where `value` does not have this form, whoever said it."""
        if not self.fits(value):
            raise Unparseable(f"not {self.what}, so that nobody is asked about it: {str(value)[:100]!r}")
        return Word(str(value))

    def fits(self, value: Value) -> bool:
        """Whether it has this form; a stand-in has whichever is wanted."""
        if isinstance(value, StandIn):
            return True
        if isinstance(value, bool) or not isinstance(value, Value):
            return False
        return len(text := str(value)) <= LONGEST and self._pattern.fullmatch(text) is not None


_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME_OR_ADDRESS = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
_REST_OF_URL = r"(?:[/?#][A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*)?"
_NO_CONTROL = r"[^\0-\x1f\x7f-\x9f\ud800-\udfff]"
_IN_PATH = r"[^/\0-\x1f\x7f-\x9f\ud800-\udfff]"
_PART_OF_IMAGE = r"[A-Za-z0-9]+(?:(?:[._]|__|-+)[A-Za-z0-9]+)*"

# None of them lets a word begin with a dash, but LINE and ARGUMENT do, which stand where no option can.
NUMBER = Form("a whole number", r"0|[1-9][0-9]{0,9}")
ADDRESS = Form(
    "an IP address",
    r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?<=:)[0-9]{1,3}(?:\.[0-9]{1,3}){3})?",
)
PORTS = Form("port numbers", r"[1-9][0-9]{0,4}(?:,[1-9][0-9]{0,4})*")
HOST_NAME = Form("a name in the DNS", rf"(?=.{{1,254}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
RECORD_TYPE = Form("a type of DNS records", r"A|AAAA|SOA")
CHAOS_CLASS = Form("the class of what a DNS server says of itself", r"CH")
TEXT_TYPE = Form("the type of DNS records that are texts", r"TXT")
URL = Form("an http or https URL without a user", rf"https?://{_NAME_OR_ADDRESS}{_REST_OF_URL}")
PROXY = Form(
    "a proxy's URL", rf"(?:https?|socks[45][ah]?)://(?:[A-Za-z0-9._~!$&'()*+,;=%:-]*@)?{_NAME_OR_ADDRESS}{_REST_OF_URL}"
)
IMAGE = Form(
    "an image's name",
    # As docker and containerd have it. Capitals are no longer allowed in it, which is theirs to say.
    rf"(?:{_NAME_OR_ADDRESS}/)?{_PART_OF_IMAGE}(?:/{_PART_OF_IMAGE})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z0-9+._-]{1,32}:[0-9a-f]{32,128})?",
)
NETWORK_NAME = Form("the name of a docker network", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
SWARM_ID = Form("an id of the swarm", r"[0-9a-z]{25}")
NETWORK_ID = Form("a docker network's id", r"[0-9a-z]{25}|[0-9a-f]{64}")
CONTAINER_ID = Form("a container's id", r"[0-9a-f]{64}")
PATH = Form("an absolute path", rf"(?:/{_IN_PATH}+)+/?|/")
LINE = Form("a line of text", rf"{_NO_CONTROL}*")
"""Of the inventory, never of a host: any characters but those that move the cursor or end the line."""
ARGUMENT = Form("an argument in one line", rf"{_NO_CONTROL}*")
"""As LINE, for a program of the operator's choosing, behind the end of all options."""


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
