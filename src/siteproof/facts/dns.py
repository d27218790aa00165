"""siteproof_dns: names, whoever asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from siteproof.asks.words import Address
from siteproof.facts.declared import Declared
from siteproof.facts.model import Absent, Family, HostName, HostsOf, Node, Router, Subjects, Unseen, nodes


class Name(Declared):
    """A DNS name of the site, and its answers."""

    name: HostName
    internal: Annotated[tuple[IPv4Address, ...], Field(min_length=1)]
    """Its addresses inside the site."""
    internal_ipv6: tuple[IPv6Address, ...] = ()
    outside: tuple[IPv4Address, ...] = ()
    """Its addresses on the internet; none where the internet does not know it."""
    alias_of: HostName | None = None
    """What it must be a CNAME of at the authority, so that it follows when that moves."""

    def __str__(self) -> str:
        return self.name


class Clients(Declared):
    """Hosts that ask for names, all in the same way."""

    hosts: str
    servers: Annotated[tuple[Address, ...], Field(min_length=1)]
    """Every DNS server that they may come to ask, the first one first, resolved's stub seen through."""
    accepted_secondaries: tuple[Address, ...] = ()
    """Those of them that may give other answers than the declared ones."""
    lookup_order: str = "files dns"
    """The `hosts:` line of nsswitch.conf."""
    resolv_conf: str = "/etc/resolv.conf"
    """The file that /etc/resolv.conf leads to, itself where it is no link."""
    configured_in: tuple[str, ...] = ()
    """The files that may set DNS servers or domains, beside /etc/resolv.conf."""

    @model_validator(mode="after")
    def _accepted_ones_are_asked(self) -> Self:
        if stray := set(self.accepted_secondaries) - set(self.servers[1:]):
            raise ValueError(f"{stray.pop()} of `accepted_secondaries` is not among `servers`, after the first one")
        return self


class Authority(Declared):
    """The servers that have the site's zones."""

    servers: Annotated[tuple[Address, ...], Field(min_length=1)]
    asked_from: str | Unseen
    """Hosts that may ask them, as the site's resolvers do; `{none: reason}` where no such host can be logged in to."""
    ingress: str | Unseen
    """The hosts whose addresses the aliases lead to (Traefik's); `{none: reason}` where they cannot be asked."""


class EdgeResolver(Declared):
    """The resolver on the router (unbound or dnsmasq), which forwards the site's zones to the authority."""

    routers: str | Unseen
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    """Where it listens: one address for each segment that asks it."""


class OutsideView(Declared):
    """What the internet is told."""

    vantages: str | Unseen
    """Hosts on the internet, also those whose monitors claim to look from there."""
    servers: Annotated[tuple[Address, ...], Field(min_length=1)]
    """Public DNS servers."""


@dataclass(frozen=True)
class Client(Node):
    """A host that asks for names."""

    how: Clients


@dataclass(frozen=True)
class Fleet:
    """Hosts that must not differ."""

    pattern: str
    hosts: tuple[str, ...]

    @property
    def among(self) -> tuple[str, ...]:
        """What differs elsewhere is none of its."""
        return self.hosts

    def __str__(self) -> str:
        return self.pattern


@dataclass(frozen=True)
class Zone:
    """A zone of the site."""

    name: str

    def __str__(self) -> str:
        return self.name


class Resolving(Router):
    """A router with a resolver."""


class Asker(Node):
    """A host that asks the authority."""


class Ingress(Fleet):
    """The hosts that the site's aliases lead to."""


@dataclass(frozen=True)
class View:
    """A name, and everyone who is asked for it."""

    name: Name
    inside: tuple[str, ...]
    outside: tuple[str, ...]

    def __str__(self) -> str:
        return self.name.name


class Dns(Family):
    """Names: whoever asks, the answer is the declared one.

    siteproof_dns:
      control_name: example.org            # a name outside the site that every resolver must answer
      zones: [home.example]                # your own: no hosts file may pin a name in them
      names:
        - name: forgejo.home.example
          internal: [10.0.20.203]          # your ingress (Traefik); several where the name has several addresses
          outside: [198.51.100.76]         # what the internet is told; left out where it must not know the name
          alias_of: home.example           # a CNAME at the authority, so that it follows when the ingress moves
        - name: mail.home.example
          internal: [10.0.20.1]
          # internal_ipv6: [fd00:20::1]    # by default a name must have no IPv6 address
      clients:                             # who asks, and how; the hosts of one entry must not differ
        - hosts: nodes                     # a host pattern, as Ansible writes them
          servers: [10.0.20.1, 9.9.9.9]    # all that they may come to ask, in order, resolved's stub seen through
          # A public server cannot answer for your zones, and resolved stays on it after a blip of the first.
          # Without this line it is a violation to list one.
          accepted_secondaries: [9.9.9.9]
          lookup_order: "files resolve [!UNAVAIL=return] dns"     # `hosts:` of nsswitch.conf
          resolv_conf: /run/systemd/resolve/stub-resolv.conf      # where /etc/resolv.conf leads
          configured_in: [/etc/netplan]        # the only files that may set DNS servers or domains
        - hosts: lan
          servers: [192.168.0.1]
          lookup_order: files dns
          resolv_conf: /etc/resolv.conf
      authority:
        servers: [10.0.20.201, 10.0.20.202]
        asked_from: routers                # hosts that may ask them; or {none: "no login on the router"}
        ingress: services                  # where the aliases must lead to; or {none: "a load balancer"}
      edge:
        routers: routers                   # unbound or dnsmasq, which forwards the zones; or {none: "it is Technitium"}
        addresses: [10.0.20.1, 192.168.0.1]  # where it listens, on each segment
      outside:
        vantages: outside_vantage          # or {none: "no machine outside yet"}
        servers: [1.1.1.1, 8.8.8.8]        # public DNS, asked from there
    """

    name: ClassVar[str] = "dns"
    place: ClassVar[int] = 10

    control_name: HostName
    """A name outside the site that every resolver in use must answer; without its answer a silence proves nothing."""
    zones: Annotated[tuple[HostName, ...], Field(min_length=1)]
    """The site's own zones."""
    names: Annotated[tuple[Name, ...], Field(min_length=1)]
    clients: Annotated[tuple[Clients, ...], Field(min_length=1)]
    authority: Authority
    edge: EdgeResolver
    outside: OutsideView

    @model_validator(mode="after")
    def _names_are_in_zones(self) -> Self:
        for name in self.names:
            if not self.has(name.name):
                raise ValueError(f"{name.name} is in none of `zones`")
        return self

    def has(self, name: str) -> bool:
        """Whether `name` is in one of the site's zones."""
        return any(in_zone(name, zone) for zone in self.zones)

    def names_in(self, zone: Zone) -> tuple[Name, ...]:
        return tuple(name for name in self.names if in_zone(name.name, zone.name))

    def zone_of(self, name: Name) -> str:
        """The zone that `name` is in; of several, one in the other, the inner one."""
        return max((zone for zone in self.zones if in_zone(name.name, zone)), key=len)

    def subjects(self, hosts: HostsOf) -> Subjects:
        fleets = [Fleet(how.hosts, hosts("clients", how.hosts)) for how in self.clients]
        clients = [Client(h, how) for how, fleet in zip(self.clients, fleets, strict=True) for h in fleet.hosts]
        vantages, ingress = self.outside.vantages, self.authority.ingress
        return {
            Client: clients,
            Name: self.names,
            Fleet: [f for f in fleets if len(f.hosts) > 1] or Absent("no two hosts ask in the same way"),
            Zone: [Zone(zone) for zone in self.zones],
            Resolving: nodes(Resolving, hosts, "edge", self.edge.routers),
            Asker: nodes(Asker, hosts, "authority", self.authority.asked_from),
            Ingress: Absent(ingress.none)
            if isinstance(ingress, Unseen)
            else [Ingress(ingress, hosts("authority", ingress))],
            View: Absent(vantages.none)
            if isinstance(vantages, Unseen)
            else [View(n, tuple(c.host for c in clients), hosts("outside", vantages)) for n in self.names],
        }


def in_zone(name: str, zone: str) -> bool:
    """Whether `name` is the zone's own name or below it."""
    return name == zone or name.endswith(f".{zone}")
