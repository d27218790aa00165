"""siteproof_edge: what the internet may reach."""

from __future__ import annotations

import hashlib
import re
from ipaddress import IPv4Address
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from siteproof.facts.declared import Declared
from siteproof.facts.model import Family, HostsOf, Outside, Port, Router, Service, Subjects, Unseen, nodes

ARBITRARY_PORTS = 8


class PublicAddress(Declared):
    """An address of the site on the internet, and what may be reached through it."""

    address: IPv4Address
    allow: Annotated[tuple[Service, ...], Field(min_length=1)]
    """Everything that is open on purpose."""
    control: Service
    """One of `allow` that answers now: its answer shows that the outside can reach the site at all."""

    @model_validator(mode="after")
    def _control_is_one_open_tcp_port(self) -> Self:
        if not re.fullmatch(r"tcp/\d+", self.control):
            raise ValueError("`control` is a single TCP port, e.g. `tcp/443`")
        if self.control_port not in self.allowed("tcp"):
            raise ValueError("`control` is not among `allow`")
        return self

    @property
    def control_port(self) -> int:
        return int(self.control.partition("/")[2])

    def allowed(self, protocol: str) -> frozenset[int]:
        """The allowed ports of a protocol."""
        ports: set[int] = set()
        for service in self.allow:
            spoken, _, span = service.partition("/")
            if spoken == protocol:
                first, _, last = span.partition("-")
                ports.update(range(int(first), int(last or first) + 1))
        return frozenset(ports)

    def __str__(self) -> str:
        return str(self.address)


class Edge(Family):
    """The router to the internet: what it lets in.

    siteproof_edge:
      routers: routers                   # or {none: "an ISP box without an API"}
      outside: outside_vantage           # or {none: "no machine outside yet"}; needs nmap and root there
      tempting_ports: [22, 23, 445, 2375, 2376, 3389, 5432, 6443, 8006, 10250]
      ports_at_once: 1024                # a forward of more ports than these counts as a DMZ
      addresses:                         # every public address of the site
        - address: 198.51.100.76
          allow: [tcp/80, tcp/443, udp/34197, tcp/3000-3003]
          control: tcp/443               # open now: shows that the outside can reach the site at all
    """

    name: ClassVar[str] = "edge"
    place: ClassVar[int] = 60

    routers: str | Unseen
    """Whose rules are read; `{none: reason}` for a router that has no way to be asked."""
    outside: str | Unseen
    """Vantage points on the internet; `{none: reason}` where there is none."""
    addresses: Annotated[tuple[PublicAddress, ...], Field(min_length=1)]
    """Every public address of the site."""
    tempting_ports: Annotated[tuple[Port, ...], Field(min_length=1)]
    """TCP ports that attackers try first and that a host behind the edge may well have open, e.g. 22 and 6443."""
    ports_at_once: Annotated[int, Field(ge=1)] = 1024
    """A forward of more ports than these counts as one of all ports."""

    @property
    def public(self) -> frozenset[IPv4Address]:
        return frozenset(address.address for address in self.addresses)

    def sample(self, address: PublicAddress) -> tuple[int, ...]:
        """TCP ports of `address` to try that are not on its allowlist: the tempting ones and a few arbitrary ones.

        The arbitrary ones hang on the address alone, so that runs can be compared and replayed.
        """
        digest = hashlib.sha256(str(address).encode()).digest()
        arbitrary = (1024 + int.from_bytes(digest[i : i + 2]) % 64512 for i in range(0, 2 * ARBITRARY_PORTS, 2))
        return tuple(sorted({*self.tempting_ports, *arbitrary} - address.allowed("tcp")))

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {
            Router: nodes(Router, hosts, "routers", self.routers),
            Outside: nodes(Outside, hosts, "outside", self.outside),
            PublicAddress: self.addresses,
        }
