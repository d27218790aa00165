"""What a router's rules forward, in a form that nft and iptables share."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_network

from siteproof.errors import Unparseable

HIGHEST_PORT = 65535
PROTOCOLS = {"6": "tcp", "17": "udp", "33": "dccp", "132": "sctp", "136": "udplite"}
"""Those that have ports, by their numbers. All others (GRE, ESP, 6in4, ICMP, …) have none."""
MOST_SHOWN = 5
"""Rules, in a message."""
_OTHERS = "others"
_ALL_PROTOCOLS = frozenset({*PROTOCOLS.values(), _OTHERS})


@dataclass(frozen=True, slots=True)
class Ports:
    """A set of destination ports."""

    bits: int
    """Bit n is port n."""

    @staticmethod
    def span(first: int, last: int) -> Ports:
        if not 0 <= first <= last <= HIGHEST_PORT:
            raise Unparseable(f"{first} to {last} are no ports")
        return Ports((1 << last + 1) - (1 << first))

    def __and__(self, other: Ports) -> Ports:
        return Ports(self.bits & other.bits)

    def __or__(self, other: Ports) -> Ports:
        return Ports(self.bits | other.bits)

    def __invert__(self) -> Ports:
        return Ports(self.bits ^ ALL.bits)

    def __len__(self) -> int:
        return self.bits.bit_count()

    def __contains__(self, port: int) -> bool:
        return bool(self.bits >> port & 1)


NONE = Ports(0)
ALL = Ports.span(0, HIGHEST_PORT)


@dataclass(frozen=True, slots=True)
class Forward:
    """A rule that rewrites the destination of what comes in (DNAT)."""

    rule: str
    """The rule as the tool shows it."""
    target: str
    """Where it sends: an address, or the tool's own words."""
    port_count: int | None
    """How many destination ports it takes: None if it asks for none, so that it takes every packet, and 0 if it takes
    only protocols that have no ports."""
    unknown: str = ""
    """A condition of it that cannot be read: it takes these ports at most, or at most every packet."""
    came_in_by: tuple[str, ...] = ()
    """What it asks of the interface that a packet came in by, each as `wan0`, `wan0 wan1` (either), `ppp*`, `! lan`."""
    sent_to: tuple[str, ...] = ()
    """What it asks of the address that a packet was sent to, as `198.51.100.76/32`, or several, or `! 10.0.0.0/8`."""
    ports: Ports = field(default=NONE, compare=False, repr=False)
    """Which, of `port_count`."""

    def takes(self, port: int) -> bool:
        """Whether it takes what comes to `port`, or may."""
        return self.port_count is None or port in self.ports

    def lets_in_by(self, interfaces: Iterable[str]) -> bool:
        """Whether it takes what comes in by one of these, or may."""
        return any(all(_is_of(name, asked) for asked in self.came_in_by) for name in interfaces)

    def is_for(self, address: IPv4Address, others: Collection[IPv4Address]) -> bool:
        """Whether it takes what is sent to `address`, or may: it does not if it names only `others`."""
        for asked in self.sent_to:
            networks = [ip_network(one, strict=False) for one in asked.removeprefix("! ").split()]
            if asked.startswith("! "):
                if any(address in network for network in networks):
                    return False
            elif all(any(other in network for other in others) and address not in network for network in networks):
                return False
        return True

    def __str__(self) -> str:
        ports = "every port" if self.port_count is None else f"{self.port_count} ports"
        perhaps = f"{self.unknown}: at most " if self.unknown else ""
        return f"{perhaps}{ports} to {self.target}, by {self.rule}"


@dataclass(frozen=True, slots=True)
class NatRules:
    """The destination NAT of one tool's ruleset."""

    forwards: tuple[Forward, ...]
    opaque: bool = False
    """There may be rules that this tool does not show (iptables' are `xt` to nft, nft's are nothing to iptables)."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What several forwards to one address let through together."""

    address: str
    forwards: tuple[Forward, ...]

    def certainly_more_than(self, ports: int) -> bool:
        """Whether they take more ports than these, whatever the conditions say that cannot be read."""
        return _more_than(ports, [forward for forward in self.forwards if not forward.unknown])

    def perhaps_more_than(self, ports: int) -> bool:
        return _more_than(ports, self.forwards)

    def __str__(self) -> str:
        if len(self.forwards) == 1:
            return str(self.forwards[0])
        shown = "; ".join(map(str, self.forwards[:MOST_SHOWN]))
        more = f"; and {len(self.forwards) - MOST_SHOWN} more" if len(self.forwards) > MOST_SHOWN else ""
        return f"{len(self.forwards)} rules together for {self.address}: {shown}{more}"


def together(forwards: Iterable[Forward]) -> list[Opened]:
    """What is open of each address, by all rules that send there: ten rules of 1000 ports are one of 10,000.

    A port counts once, also where one rule takes it for TCP and another for UDP.
    """
    of: dict[str, list[Forward]] = {}
    for forward in forwards:
        of.setdefault(_address(forward.target), []).append(forward)
    return [Opened(address, tuple(found)) for address, found in of.items()]


def _more_than(ports: int, forwards: Iterable[Forward]) -> bool:
    taken = NONE
    for forward in forwards:
        taken = taken | forward.ports
    return any(forward.port_count is None for forward in forwards) or len(taken) > ports


def _address(target: str) -> str:
    """`192.0.2.5` of `192.0.2.5:80-90/1080`, of `[2001:db8::5]:80`, and of what nft writes as JSON."""
    if target.startswith("{"):
        parts = json.loads(target).get("concat")
        return str(parts[0]) if isinstance(parts, list) and parts else target
    if bracketed := re.match(r"\[([^]]+)\]", target):
        return bracketed[1]
    return target.partition(":")[0] if target.count(":") == 1 else target


def _is_of(name: str, asked: str) -> bool:
    wanted = asked.removeprefix("! ")
    found = any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in wanted.split())
    return found != asked.startswith("! ")


def _with(asked: tuple[str, ...], names: Iterable[str], negated: bool) -> tuple[str, ...]:
    more = f"{'! ' if negated else ''}{' '.join(sorted(set(names)))}"
    return asked if more in asked else (*asked, more)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which packets come to a rule."""

    ports: Ports | None = None
    """By their destination port. None: nothing asked for the port so far."""
    untold: str = ""
    """A condition on the way that may speak of ports in a way that is not told here, e.g. a packet mark."""
    protocols: frozenset[str] = _ALL_PROTOCOLS
    """Those that are left, all that have no ports as one."""
    came_in_by: tuple[str, ...] = ()
    """As `Forward.came_in_by`."""
    sent_to: tuple[str, ...] = ()
    """As `Forward.sent_to`."""

    def only(self, ports: Ports) -> Reach:
        return replace(self, ports=ports if self.ports is None else self.ports & ports)

    def under(self, condition: str) -> Reach:
        return self if self.untold else replace(self, untold=condition)

    def of(self, protocols: Iterable[str | int], *, negated: bool = False) -> Reach:
        """Where only these protocols are let through, by name or number, or where these are not."""
        spelt = [PROTOCOLS.get(str(protocol), str(protocol)) for protocol in protocols]
        if not all(re.fullmatch("[a-z0-9][a-z0-9.-]*", protocol) for protocol in spelt):
            raise Unparseable(f"no protocols: {spelt}")
        named = {protocol if protocol in _ALL_PROTOCOLS else _OTHERS for protocol in spelt}
        return replace(self, protocols=self.protocols - (named - {_OTHERS}) if negated else self.protocols & named)

    def by(self, interfaces: Iterable[str], *, negated: bool = False) -> Reach:
        """Where only what came in by one of these interfaces is let through, or by none of them."""
        return replace(self, came_in_by=_with(self.came_in_by, interfaces, negated))

    def to(self, networks: Iterable[str], *, negated: bool = False) -> Reach:
        """Where only what was sent to one of these addresses or networks is let through, or to none of them."""
        return replace(self, sent_to=_with(self.sent_to, networks, negated))

    def forward(self, rule: str, target: str, unknown: str = "") -> Iterator[Forward]:
        """What a rule makes of it that sends it to `target`: nothing where nothing is left of it."""
        told = ALL if self.ports is None else self.ports
        unknown = unknown or self.untold
        if self.protocols == {_OTHERS}:
            yield Forward(rule, target, 0, unknown, self.came_in_by, self.sent_to)
        elif self.protocols and (told.bits or unknown):
            count = None if self.ports is None else len(told)
            yield Forward(rule, target, count, unknown, self.came_in_by, self.sent_to, told)
