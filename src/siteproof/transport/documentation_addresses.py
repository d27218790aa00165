"""Addresses and names that documentation uses and nobody has. Outside a lab nothing is ever sent to them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

# RFC 5737, RFC 2544, RFC 3849: nobody's hosts. RFC 2606: nobody's names.
_NETWORKS = tuple(
    ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32")
)
_NAMES = (".example", ".test", ".invalid")


def is_documentation(address: str) -> bool:
    try:
        return any(ip_address(address) in network for network in _NETWORKS)
    except ValueError:
        return address.endswith(_NAMES)
