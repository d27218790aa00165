"""What the facts of a family are made of: hosts, subjects, and the types that a field may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from siteproof.asks.words import URL, Form
from siteproof.facts.declared import Declared

SOMEWHERE = IPv4Address("192.0.2.1")
"""An address of the internet that nobody has (RFC 5737), to ask a kernel for the way to it."""


@dataclass(frozen=True)
class Node:
    """A host that is asked."""

    host: str

    def __str__(self) -> str:
        return self.host


class Router(Node):
    """A node that stands between the site and the internet."""


class Outside(Node):
    """A vantage point on the internet, beyond the site's own router."""


class Unseen(Declared):
    """Why there is nothing to look at: `{none: reason}` where the facts would stand."""

    none: str


@dataclass(frozen=True)
class Absent:
    """There is nothing of this kind to check; the inventory says why."""

    reason: str


HostsOf = Callable[[str, str], tuple[str, ...]]
"""(key, pattern) -> host names in inventory order; BadInput for an unknown name or an empty match."""
Subjects = Mapping[type, Sequence[Any] | Absent]


N = TypeVar("N", bound=Node)


def nodes(kind: Callable[[str], N], hosts: HostsOf, key: str, pattern: str | Unseen) -> Sequence[N] | Absent:
    """The hosts of a pattern as subjects, or why there are none."""
    return Absent(pattern.none) if isinstance(pattern, Unseen) else [kind(host) for host in hosts(key, pattern)]


class Family(Declared):
    """The facts of one subject."""

    name: ClassVar[str]
    scope: ClassVar[Literal["site", "host"]] = "site"
    """`site`: one value, the same wherever it is looked up. `host`: each host has its own."""
    place: ClassVar[int] = 100
    """Where the register has its chapter: what others stand on comes first. By default behind all, by name."""

    def subjects(self, hosts: HostsOf) -> Subjects:
        """The subjects of a site-wide family, by type."""
        raise NotImplementedError


def _host_name(value: str) -> str:
    if not re.fullmatch(
        r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*", value
    ):
        raise ValueError("not a DNS name")
    return value.lower()


HostName = Annotated[str, AfterValidator(_host_name)]
"""A DNS name without the final dot, in lower case."""


def _address_or_network(value: object) -> object:
    return f"{value}/32" if isinstance(value, str) and "/" not in value else value


Network = Annotated[IPv4Network, BeforeValidator(_address_or_network)]
"""An IPv4 network; a plain address is its /32."""


def formed(form: Form) -> AfterValidator:
    """Refuses, with file, line and key, what a probe would refuse to ask about."""

    def checked(value: str) -> str:
        if not form.fits(value):
            raise ValueError(f"not {form.what}")
        return value

    return AfterValidator(checked)


def _port_of_url(value: str) -> str:
    _ = urlsplit(value).port  # raises ValueError where it is none
    return value


Url = Annotated[str, formed(URL), AfterValidator(_port_of_url)]


def _ports(value: str) -> str:
    match = re.fullmatch(r"(tcp|udp)/(\d{1,5})(?:-(\d{1,5}))?", value)
    if match is None:
        raise ValueError("a service is written `tcp/443` or `udp/3000-3003`")
    first, last = int(match[2]), int(match[3] or match[2])
    if not 0 < first <= last < 65536:
        raise ValueError("ports run from 1 to 65535, the lower one first")
    return value


Service = Annotated[str, AfterValidator(_ports)]
"""`tcp/443`, or a range: `udp/3000-3003`."""


Port = Annotated[int, Field(ge=1, le=65535)]
