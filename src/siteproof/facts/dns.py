"""siteproof_dns: names, whoever asks for them."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, ClassVar

from pydantic import Field

from siteproof.declared import Declared
from siteproof.facts.model import Family, HostName, HostsOf, Node, Subjects


class Name(Declared):
    """A DNS name and its answer inside the site."""

    name: HostName
    internal: Annotated[tuple[IPv4Address, ...], Field(min_length=1)]

    def __str__(self) -> str:
        return self.name


class Dns(Family):
    """Names: whoever asks, the answer is the declared one."""

    name: ClassVar[str] = "dns"

    hosts: str
    control_name: HostName
    """A name outside the site that every resolver in use must answer; without its answer a silence proves nothing."""
    names: Annotated[tuple[Name, ...], Field(min_length=1)]

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {Node: [Node(h) for h in hosts("hosts", self.hosts)], Name: self.names}
