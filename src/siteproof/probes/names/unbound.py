"""unbound: where a router's resolver forwards which zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

from siteproof.asks import Ask, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import END, section, split

VERSION = {"unbound-control": "unbound -V"}

# pfSense keeps its configuration elsewhere, and does not tell unbound-control.
_SCRIPT = f"""\
{section("status")}
if [ -f /var/unbound/unbound.conf ]; then
    $ROOT unbound-control -c /var/unbound/unbound.conf status || exit
    {section("forwards")}
    $ROOT unbound-control -c /var/unbound/unbound.conf list_forwards || exit
else
    $ROOT unbound-control status || exit
    {section("forwards")}
    $ROOT unbound-control list_forwards || exit
fi
{END}
"""


def unbound_forwards(router: Host) -> Ask[Mapping[str, frozenset[Address]]]:
    """Zone -> the servers that unbound on `router` forwards it to, as the running daemon says. The root is `.`.

    A router that forwards nothing at all counts only if the daemon says that it runs; otherwise NoControl.
    """
    return command(
        router,
        _SCRIPT,
        probe="unbound-control list_forwards",
        parse=parse,
        tools=("unbound-control",),
        root=True,
    )


def parse(output: Output) -> Mapping[str, frozenset[Address]]:
    """`home.example. IN forward 10.0.20.201 10.0.20.202`; `+i` and the like may stand before the servers."""
    sections = split(output.text, "status", "forwards")
    if "is running" not in sections["status"]:
        raise NoControl(f"unbound does not say that it is running: {sections['status'][:200]!r}")
    found: dict[str, frozenset[Address]] = {}
    for line in sections["forwards"].splitlines():
        zone, *words = line.split() or [""]
        if words[:2] != ["IN", "forward"] or not re.fullmatch(r"[!-~]*\.", zone):
            raise Unparseable(f"not a line of list_forwards: {line!r}")
        found[zone.rstrip(".").lower() or "."] = frozenset(
            ip_address(word.partition("@")[0].partition("#")[0]) for word in words[2:] if not word.startswith("+")
        )
    return found
