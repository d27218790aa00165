"""siteproof_edge: what the internet may reach."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from siteproof.facts.declared import Declared
from siteproof.facts.model import (
    SOMEWHERE,
    Absent,
    Family,
    HostsOf,
    Outside,
    Port,
    Router,
    Service,
    Subjects,
    Unseen,
    nodes,
)

ARBITRARY_PORTS = 8


@dataclass(frozen=True)
class Gate(Router):
    """A router, all of the site's routers, and the vantage points that look at them from outside."""

    routers: tuple[str, ...] = ()
    vantages: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.host


@dataclass(frozen=True)
class Vantage(Outside):
    """A vantage point, and the routers that it looks at."""

    routers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.host


class PublicAddress(Declared):
    """An address of the site on the internet, and what may be reached through it."""

    address: IPv4Address
    allow: Annotated[tuple[Service, ...], Field(min_length=1)]
    """Everything that is open on purpose."""
    control: Service
    """One of `allow` that answers now: its answer shows that the outside can reach the site at all."""
    on_router: tuple[Service, ...] = ()
    """What of `allow` the router answers itself, so that no rule forwards it."""

    @model_validator(mode="after")
    def _control_is_one_open_tcp_port(self) -> Self:
        if not re.fullmatch(r"tcp/\d+", self.control):
            raise ValueError("`control` is a single TCP port, e.g. `tcp/443`")
        if self.control_port not in self.allowed("tcp"):
            raise ValueError("`control` is not among `allow`")
        if any(_ports(self.on_router, protocol) - self.allowed(protocol) for protocol in ("tcp", "udp")):
            raise ValueError("`on_router` is not among `allow`")
        return self

    @property
    def control_port(self) -> int:
        return int(self.control.partition("/")[2])

    def allowed(self, protocol: str) -> frozenset[int]:
        """The allowed ports of a protocol."""
        return _ports(self.allow, protocol)

    @property
    def control_on_router(self) -> bool:
        return self.control_port in _ports(self.on_router, "tcp")

    @property
    def forwarded(self) -> frozenset[int]:
        """The allowed TCP and UDP ports for which there must be a rule."""
        return frozenset().union(*(self.allowed(p) - _ports(self.on_router, p) for p in ("tcp", "udp")))

    def __str__(self) -> str:
        return str(self.address)


def _ports(services: tuple[Service, ...], protocol: str) -> frozenset[int]:
    ports: set[int] = set()
    for service in services:
        spoken, _, span = service.partition("/")
        if spoken == protocol:
            first, _, last = span.partition("-")
            ports.update(range(int(first), int(last or first) + 1))
    return frozenset(ports)


class Edge(Family):
    """The router to the internet: what it lets in.

    siteproof_edge:
      routers: routers                   # or {none: "an ISP box without an API"}
      outside: outside_vantage           # or {none: "no machine outside yet"}; needs nmap and root there
      tempting_ports: [22, 23, 445, 2375, 2376, 3389, 5432, 6443, 8006, 10250]
      ports_at_once: 1024                # more ports than these forwarded to one host count as a DMZ
      # outside_interfaces: [ppp0]       # of the routers; by default those that their default routes and the public
      #                                    addresses are on
      addresses:                         # every public address of the site
        - address: 198.51.100.76
          allow: [tcp/80, tcp/443, udp/34197, tcp/3000-3003]
          control: tcp/443               # open now: shows that the outside can reach the site at all
          # on_router: [tcp/80]            # of these, what the router answers itself, without a forward
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
    """More ports than these forwarded to one host, by all rules together, count as all ports."""
    outside_interfaces: tuple[str, ...] = ()
    """Those of the routers that packets from the internet come in by. By default the routers are asked."""
    somewhere: IPv4Address = SOMEWHERE
    """An address on the internet. Nothing is sent to it: a router is asked by which interface it would."""

    @property
    def public(self) -> frozenset[IPv4Address]:
        return frozenset(address.address for address in self.addresses)

    @property
    def forwarded(self) -> frozenset[int]:
        """The ports for which a router must have a rule, so that a ruleset without one is not the one in force."""
        return frozenset().union(*(address.forwarded for address in self.addresses))

    def sample(self, address: PublicAddress) -> tuple[int, ...]:
        """TCP ports of `address` to try that are not on its allowlist: the tempting ones and a few arbitrary ones.

        The arbitrary ones hang on the address alone, so that runs can be compared and replayed.
        """
        digest = hashlib.sha256(str(address).encode()).digest()
        arbitrary = (1024 + int.from_bytes(digest[i : i + 2]) % 64512 for i in range(0, 2 * ARBITRARY_PORTS, 2))
        return tuple(sorted({*self.tempting_ports, *arbitrary} - address.allowed("tcp")))

    def subjects(self, hosts: HostsOf) -> Subjects:
        routers = self.routers if isinstance(self.routers, Unseen) else hosts("routers", self.routers)
        vantages = self.outside if isinstance(self.outside, Unseen) else hosts("outside", self.outside)
        seen_from = () if isinstance(vantages, Unseen) else vantages
        seen = () if isinstance(routers, Unseen) else routers
        return {
            # What a check of somebody's own asks for, who needs not know who else looks.
            Router: nodes(Router, hosts, "routers", self.routers),
            Outside: nodes(Outside, hosts, "outside", self.outside),
            Gate: Absent(routers.none) if isinstance(routers, Unseen) else [Gate(r, seen, seen_from) for r in routers],
            Vantage: Absent(vantages.none) if isinstance(vantages, Unseen) else [Vantage(v, seen) for v in vantages],
            PublicAddress: self.addresses,
        }
