"""Which DNS servers a host may ask: /etc/resolv.conf, and systemd-resolved behind its stub."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from typing import Any

from siteproof.asks import MISSING, SMALL, Ask, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import Unparseable
from siteproof.probes.common.sections import END, Sections, from_json, section, split
from siteproof.probes.names.forms import in_any_encoding

MAXNS = 3
"""So many servers of resolv.conf glibc and musl ask; the next ones stand there, and nobody asks them."""
_LIKE_AN_ADDRESS = re.compile("[0-9]|[0-9A-Fa-f]*:")
STUBS = (IPv4Address("127.0.0.53"), IPv4Address("127.0.0.54"))
# What resolv.conf(5) knows, and OpenBSD's and older files that are met on Linux.
KEYWORDS = frozenset({"nameserver", "domain", "search", "sortlist", "options", "lookup", "family"})
# Address family in D-Bus replies -> the length of its addresses.
LENGTHS = {2: 4, 10: 16}

# `resolvectl --json` prints text on systemd 252 all the same; busctl keeps its word.
_SCRIPT = f"""\
{section("resolv.conf")}
stub=
while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\\n' "$line"
    case $line in nameserver[!a-z]*127.0.0.5[34] | nameserver[!a-z]*127.0.0.5[34][!0-9]*) stub=yes ;; esac
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

    Of those that resolv.conf lists these are the first three, whatever follows them. resolved's fallback servers are
    among them only where it has no others, as it does itself.
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
    sections = split(in_any_encoding(output.text), "resolv.conf", "resolved DNS", "resolved FallbackDNS")
    listed = read_resolv_conf(sections["resolv.conf"]).listed
    servers = list(listed[:MAXNS])
    if any(server in STUBS for server in listed) != ("resolved DNS" in sections):
        raise Unparseable("resolved was asked, or was not, although resolv.conf says otherwise")
    if "resolved DNS" in sections:
        # All of them are read, also where the first decide.
        of_resolved, fallbacks = _resolved(sections, "DNS"), _resolved(sections, "FallbackDNS")
        if any(server in STUBS for server in servers):
            servers = [server for server in servers if server not in STUBS] + (of_resolved or fallbacks)
    if not servers:
        raise Unparseable("no DNS server is configured")
    return tuple(dict.fromkeys(servers))


@dataclass(frozen=True, slots=True)
class Listing:
    """What a resolv.conf says, as glibc reads it."""

    listed: tuple[Address, ...]
    """Its servers, also those that stand too far down to be asked."""
    domains: tuple[str, ...] = ()
    """What is searched: of `search` and `domain` the line that stands last."""
    options: frozenset[str] = frozenset()
    """`rotate`, `ndots:2`, …; those of all lines together."""

    @property
    def asked(self) -> tuple[Address, ...]:
        """The servers that programs ask, glibc's first one first."""
        return self.listed[:MAXNS]


def nameservers(text: str) -> list[Address]:
    """The servers of a resolv.conf that programs ask. Raises Unparseable where a line is none of such a file."""
    return list(read_resolv_conf(text).asked)


def read_resolv_conf(text: str) -> Listing:
    """Raises Unparseable where a line is none of such a file.

    What glibc and musl pass over is passed over: an indented line, a server that is no address.
    """
    servers: list[Address] = []
    domains: tuple[str, ...] = ()
    options: set[str] = set()
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        if words[0] not in KEYWORDS:
            raise Unparseable(f"not a line of resolv.conf: {line[:200]!r}")
        if line[0].isspace():
            continue
        match words:
            case ["nameserver", word, *_] if (server := as_libc_reads(word)) is not None:
                servers.append(server)
            case ["search" | "domain", *names]:
                domains = tuple(names)
            case ["options", *more]:
                options.update(more)
    return Listing(tuple(servers), domains, frozenset(options))


@lru_cache(maxsize=1024)
def as_libc_reads(word: str) -> Address | None:
    """An address as inet_aton or inet_pton takes it, `127.1` too; None for what is none to them."""
    if not _LIKE_AN_ADDRESS.match(word):
        return None
    try:
        return ip_address(word.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(word))
    except OSError:
        return None


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


_ON_FILE = f"""\
{section("resolv.conf")}
cat /etc/resolv.conf || exit
if [ -e /run/systemd/resolve/resolv.conf ]; then
    {section("uplinks")}
    cat /run/systemd/resolve/resolv.conf || exit
fi
{END}
"""


def servers_on_file(host: Host) -> Ask[frozenset[Address]]:
    """The servers that programs on `host` may come to ask, as files say it, and no daemon.

    resolved writes down whom it asks, in /run/systemd/resolve/resolv.conf, when that changes.
    """
    return command(host, _ON_FILE, probe="resolved's own resolv.conf", parse=parse_files, at_most=SMALL, tools=("cat",))


def parse_files(output: Output) -> frozenset[Address]:
    """Raises Unparseable where resolv.conf leads to resolved, which wrote nothing down."""
    sections = split(in_any_encoding(output.text), "resolv.conf", "uplinks")
    asked = read_resolv_conf(sections["resolv.conf"]).asked
    found = frozenset(asked) - frozenset(STUBS)
    if len(found) < len(set(asked)):
        found |= frozenset(read_resolv_conf(sections["uplinks"]).listed)
    if not found:
        raise Unparseable("no DNS server is configured")
    return found
