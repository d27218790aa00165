"""getent: what the host's own programs get for a name (glibc NSS: hosts file, resolved, DNS)."""

from __future__ import annotations

import shlex
from ipaddress import IPv4Address

from siteproof.asks import Ask, Output, command, controlled
from siteproof.errors import Unparseable

FOUND, NOT_FOUND = 0, 2


def getent_addresses(host: str, name: str, *, control: str) -> Ask[frozenset[IPv4Address]]:
    """The IPv4 addresses of `name` as programs on `host` get them; empty if the name is not found.

    `control` is a name that must be found from there, or an empty answer is NoControl.
    """
    return controlled(
        _ahosts(host, name),
        _ahosts(host, control),
        silent=lambda found: not found,
        seen=bool,
        proves=f"{control} is not found either, so this resolver answers nothing at all",
    )


def _ahosts(host: str, name: str) -> Ask[frozenset[IPv4Address]]:
    return command(
        host,
        f"getent ahostsv4 {shlex.quote(name)}",
        probe=f"getent ahostsv4 {name}",
        parse=parse,
        tools=("getent",),
        answers=frozenset({FOUND, NOT_FOUND}),
        # resolved gives up on a dead server after 5 s and goes on to the next.
        deadline_s=12,
    )


def parse(output: Output) -> frozenset[IPv4Address]:
    """`10.0.20.203     STREAM forgejo.home.example`, one line per address and socket type."""
    lines = output.text.splitlines()
    if output.status == NOT_FOUND:
        if lines:
            raise Unparseable(f"getent says not found, and yet prints {lines[0]!r}")
        return frozenset()
    addresses = set()
    for line in lines:
        fields = line.split()
        if len(fields) < 2 or fields[1] not in ("STREAM", "DGRAM", "RAW"):
            raise Unparseable(f"getent does not print lines like {line!r}")
        addresses.add(IPv4Address(fields[0]))
    if not addresses:
        raise Unparseable("getent says found, and prints nothing")
    return frozenset(addresses)
