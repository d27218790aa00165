"""What a router's resolver does with a zone, in a form that all resolvers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from siteproof.asks.words import Address


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Where a resolver sends who asks for a zone's names, and what it answers itself instead."""

    forwards: frozenset[Address] | None
    """The servers that it forwards the zone to; None where it has no entry for it."""
    hiding: Mapping[str, str]
    """What keeps names from being forwarded: a name, with all that is below it -> in what way (`static`, …)."""
    records: Mapping[str, tuple[str, ...]]
    """Name in the zone -> what the resolver has for it itself (host overrides, its hosts files, its DHCP leases)."""
    remarks: tuple[str, ...] = ()
    """What is worth knowing, and wrong only under other circumstances."""
    doubt: str = ""
    """Why there may be more of `hiding` and `records`; empty if this is all."""
