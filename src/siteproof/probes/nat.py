"""What a router's rules forward, in a form that nft and iptables share."""

from __future__ import annotations

from dataclasses import dataclass


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
        return self.rule


@dataclass(frozen=True, slots=True)
class NatRules:
    """The destination NAT of one tool's ruleset."""

    forwards: tuple[Forward, ...]
    opaque: bool = False
    """There are rules that this tool lists without their arguments (nft shows iptables' as `xt`)."""
