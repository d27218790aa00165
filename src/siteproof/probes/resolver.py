"""Which DNS servers a host may ask: /etc/resolv.conf, and systemd-resolved behind its stub."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, ip_address

from siteproof.asks import Ask, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.sections import section, split

STUBS = (IPv4Address("127.0.0.53"), IPv4Address("127.0.0.54"))

# `resolvectl --json` prints text on systemd 252 all the same; busctl keeps its word.
_SCRIPT = f"""\
{section("resolv.conf")}
stub=
while read -r key value rest || [ -n "$key" ]; do
    printf '%s\\n' "$key $value $rest"
    case "$key $value" in 'nameserver 127.0.0.53' | 'nameserver 127.0.0.54') stub=yes ;; esac
done </etc/resolv.conf || exit 3
[ -z "$stub" ] && exit 0
command -v busctl >/dev/null || {{ echo 'siteproof: not on this host: busctl' >&2; exit 127; }}
{section("busctl")}
exec busctl --json=short get-property org.freedesktop.resolve1 /org/freedesktop/resolve1 \
org.freedesktop.resolve1.Manager DNS
"""


def resolver_servers(host: str) -> Ask[tuple[IPv4Address | IPv6Address, ...]]:
    """Every DNS server that programs on `host` may come to ask, in configured order, the local stub seen through."""
    return command(
        host,
        _SCRIPT,
        probe="/etc/resolv.conf and resolved's servers",
        parse=parse,
        tools=(),
        may_use=("busctl",),
    )


def parse(output: Output) -> tuple[IPv4Address | IPv6Address, ...]:
    """Raises Unparseable where no server is configured: glibc would then ask the host itself."""
    sections = split(output.text)
    listed = [
        ip_address(words[1].partition("%")[0])
        for line in sections["resolv.conf"].splitlines()
        if len(words := line.split()) > 1 and words[0] == "nameserver"
    ]
    if any(server in STUBS for server in listed):
        listed = [server for server in listed if server not in STUBS] + _resolved(sections.get("busctl", ""))
    if not listed:
        raise Unparseable("no DNS server is configured")
    return tuple(dict.fromkeys(listed))


def _resolved(text: str) -> list[IPv4Address | IPv6Address]:
    """`{"type":"a(iiay)","data":[[0,2,[10,0,20,1]]]}`: interface, address family, bytes."""
    try:
        reply = json.loads(text)
    except ValueError:
        raise Unparseable(f"busctl printed no JSON: {text[:200]!r}") from None
    if not isinstance(reply, dict) or reply.get("type") != "a(iiay)":
        raise Unparseable(f"not the reply of org.freedesktop.resolve1.Manager DNS: {text[:200]!r}")
    return [ip_address(bytes(address)) for _, _, address in reply["data"]]
