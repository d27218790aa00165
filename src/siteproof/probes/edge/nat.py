"""What a router's rules forward, in a form that nft and iptables share."""

from __future__ import annotations

from dataclasses import dataclass

from siteproof.errors import Unparseable

HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Forward:
    """A rule that rewrites the destination of what comes in (DNAT)."""

    rule: str
    """The rule as the tool shows it."""
    target: str
    """Where it sends: an address, or the tool's own words."""
    port_count: int | None
    """How many destination ports it takes; None if it asks for none, so that it takes every packet."""

    def __str__(self) -> str:
        ports = "every port" if self.port_count is None else f"{self.port_count} ports"
        return f"{ports} to {self.target}, by {self.rule}"


@dataclass(frozen=True, slots=True)
class NatRules:
    """The destination NAT of one tool's ruleset."""

    forwards: tuple[Forward, ...]
    opaque: bool = False
    """There may be rules that this tool does not show (iptables' are `xt` to nft, nft's are nothing to iptables)."""


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


NONE = Ports(0)
ALL = Ports.span(0, HIGHEST_PORT)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which packets come to a rule, by their destination port."""

    ports: Ports | None = None
    """None: nothing asked for the port so far."""
    untold: str = ""
    """A condition on the way that may speak of ports in a way that is not told here, e.g. a packet mark."""

    def only(self, ports: Ports) -> Reach:
        return Reach(ports if self.ports is None else self.ports & ports, self.untold)

    def under(self, condition: str) -> Reach:
        return Reach(self.ports, self.untold or condition)

    def count(self) -> int | None:
        """As `Forward.port_count`. Raises Unparseable where it hangs on a condition that is not told."""
        if self.ports is None and self.untold:
            raise Unparseable(f"how many ports are forwarded hangs on a condition that cannot be read: {self.untold}")
        return None if self.ports is None else len(self.ports)
