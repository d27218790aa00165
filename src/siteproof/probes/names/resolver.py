"""Which DNS servers a host may ask: /etc/resolv.conf, and systemd-resolved behind its stub."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import Any

from siteproof.asks import MISSING, SMALL, Ask, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import Unparseable
from siteproof.probes.common.sections import END, Sections, from_json, section, split

STUBS = (IPv4Address("127.0.0.53"), IPv4Address("127.0.0.54"))
# What resolv.conf(5) knows, and OpenBSD's and older files that are met on Linux.
KEYWORDS = frozenset({"nameserver", "domain", "search", "sortlist", "options", "lookup", "family"})
# Address family in D-Bus replies -> the length of its addresses.
LENGTHS = {2: 4, 10: 16}

# `resolvectl --json` prints text on systemd 252 all the same; busctl keeps its word.
_SCRIPT = f"""\
{section("resolv.conf")}
stub=
while read -r key value rest || [ -n "$key" ]; do
    printf '%s\\n' "$key $value $rest"
    case "$key $value" in 'nameserver 127.0.0.53' | 'nameserver 127.0.0.54') stub=yes ;; esac
done </etc/resolv.conf || exit 3
if [ -n "$stub" ]; then
    command -v busctl >/dev/null || {{ echo '{MISSING}busctl' >&2; exit 127; }}
    for property in DNS FallbackDNS; do
        {section("resolved ")}$property
        busctl --json=short get-property org.freedesktop.resolve1 /org/freedesktop/resolve1 \
            org.freedesktop.resolve1.Manager $property || exit
    done
fi
{END}
"""


def resolver_servers(host: Host) -> Ask[tuple[Address, ...]]:
    """Every DNS server that programs on `host` may come to ask, in configured order, the local stub seen through.

    resolved's fallback servers are among them only where it has no others, as it does itself.
    """
    return command(
        host,
        _SCRIPT,
        probe="/etc/resolv.conf and resolved's servers",
        parse=parse,
        at_most=SMALL,
        tools=(),
        may_use=("busctl",),
    )


def parse(output: Output) -> tuple[Address, ...]:
    """Raises Unparseable where no server is configured: glibc would then ask the host itself."""
    sections = split(output.text, "resolv.conf", "resolved DNS", "resolved FallbackDNS")
    listed = nameservers(sections["resolv.conf"])
    asks_resolved = any(server in STUBS for server in listed)
    if asks_resolved != ("resolved DNS" in sections):
        raise Unparseable("resolved was asked, or was not, although resolv.conf says otherwise")
    if asks_resolved:
        # All of them are read, also where the first decide.
        servers, fallbacks = _resolved(sections, "DNS"), _resolved(sections, "FallbackDNS")
        listed = [server for server in listed if server not in STUBS] + (servers or fallbacks)
    if not listed:
        raise Unparseable("no DNS server is configured")
    return tuple(dict.fromkeys(listed))


def nameservers(text: str) -> list[Address]:
    """The servers of a resolv.conf. Raises Unparseable where a line is none of such a file."""
    return [server for line in text.splitlines() if (server := _nameserver(line)) is not None]


def _nameserver(line: str) -> Address | None:
    words = line.split()
    if not words or words[0].startswith(("#", ";")):
        return None
    if words[0] not in KEYWORDS:
        raise Unparseable(f"not a line of resolv.conf: {line[:200]!r}")
    return ip_address(words[1].partition("%")[0]) if words[0] == "nameserver" else None


def _resolved(sections: Sections, property: str) -> list[Address]:
    """`{"type":"a(iiay)","data":[[0,2,[10,0,20,1]]]}`: interface, address family, bytes."""
    text = sections[f"resolved {property}"]
    reply = from_json(text, "busctl")
    if not isinstance(reply, dict) or reply.get("type") != "a(iiay)":
        raise Unparseable(f"not the reply of org.freedesktop.resolve1.Manager {property}: {text[:200]!r}")
    return [resolved_address(family, address) for _, family, address in reply["data"]]


def resolved_address(family: int, address: list[Any]) -> Address:
    """An address as resolved writes it: family and bytes."""
    if LENGTHS.get(family) != len(address):
        raise Unparseable(f"{len(address)} bytes are no address of family {family}")
    return ip_address(bytes(address))
