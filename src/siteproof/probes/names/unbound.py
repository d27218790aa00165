"""unbound: where a router's resolver forwards which zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from siteproof.asks import HOST_NAME, LINE, Ask, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import END, section, split
from siteproof.probes.names.forms import in_one_form, is_in

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


_OVERRIDES = f"""\
{section("status")}
if [ -f /var/unbound/unbound.conf ]; then
    $ROOT unbound-control -c /var/unbound/unbound.conf status || exit
    zones=$($ROOT unbound-control -c /var/unbound/unbound.conf list_local_zones) || exit
    data=$($ROOT unbound-control -c /var/unbound/unbound.conf list_local_data) || exit
else
    $ROOT unbound-control status || exit
    zones=$($ROOT unbound-control list_local_zones) || exit
    data=$($ROOT unbound-control list_local_data) || exit
fi
{section("zones")}
printf '%s\\n' "$zones" | grep -iE "$about"
[ $? -le 1 ] || exit
{section("data")}
printf '%s\\n' "$data" | grep -iE "$about"
[ $? -le 1 ] || exit
{END}
"""
_PASS = frozenset({"transparent", "typetransparent", "inform", "nodefault"})
"""Types of a local zone that let a name through which has no record of its own there."""
_LOCAL_ZONE = re.compile(r"([!-~]+) ([a-z_]+)")
_LOCAL_RECORD = re.compile(r"([!-~]+)\s+\d+\s+IN\s+([A-Z0-9]+)\s+.+")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What unbound answers by itself, whatever it forwards."""

    hiding: Mapping[str, str]
    """Local zones that keep what is in them from being forwarded: name -> type (`static`, `refuse`, …)."""
    records: Mapping[str, tuple[str, ...]]
    """Name in the zone -> its records there (host overrides), but those that a local zone has of its own (SOA, NS)."""


def unbound_overrides(router: Host, zone: str) -> Ask[Overrides]:
    """What unbound on `router` has itself of `zone`, of what is above it and below, as the running daemon says.

    It counts only if the daemon has `localhost` among these, as every unbound has; otherwise NoControl.
    Without views, tags and response policies, of which the daemon does not tell: what names answer shows these.
    """
    name = HOST_NAME(zone).text
    above = [name.split(".", n)[n] for n in range(1, name.count(".") + 1)]
    own, *others = (each.replace(".", r"\.") for each in (name, *above, "localhost", ""))
    about = rf"^([^[:space:]]*\.)?{own}\.[[:space:]]|^({'|'.join(others)})\.[[:space:]]"
    return command(
        router,
        _OVERRIDES,
        probe=f"unbound-control list_local_zones, list_local_data of {zone}",
        parse=lambda output: parse_overrides(output, zone),
        given={"about": LINE(about)},
        tools=("unbound-control", "grep"),
        root=True,
    )


def parse_overrides(output: Output, zone: str) -> Overrides:
    """`home.example. static`; `forgejo.home.example.\t3600\tIN\tA\t10.0.20.203`."""
    sections = split(output.text, "status", "zones", "data")
    _running(sections["status"])
    zones, records = dict[str, str](), dict[str, dict[str, None]]()
    for line in filter(None, sections["zones"].splitlines()):
        if (found := _LOCAL_ZONE.fullmatch(line)) is None:
            raise Unparseable(f"not a line of list_local_zones: {line!r}")
        zones[in_one_form(found[1]) or "."] = found[2]
    for line in filter(None, sections["data"].splitlines()):
        if (found := _LOCAL_RECORD.fullmatch(line)) is None:
            raise Unparseable(f"not a line of list_local_data: {line!r}")
        if found[2] not in ("SOA", "NS"):
            records.setdefault(in_one_form(found[1]) or ".", {})[" ".join(line.split())] = None
    if "localhost" not in zones or "localhost" not in records:
        raise NoControl("unbound lists no localhost, so it does not list what it has")
    return Overrides(
        {name: kind for name, kind in zones.items() if kind not in _PASS and name != "localhost"},
        {name: tuple(lines) for name, lines in records.items() if is_in(name, zone)},
    )


def _running(status: str) -> None:
    if "is running" not in status:
        raise NoControl(f"unbound does not say that it is running: {status[:200]!r}")


def parse(output: Output) -> Mapping[str, frozenset[Address]]:
    """`home.example. IN forward 10.0.20.201 10.0.20.202`; `+i` and the like may stand before the servers."""
    sections = split(output.text, "status", "forwards")
    _running(sections["status"])
    found: dict[str, frozenset[Address]] = {}
    for line in sections["forwards"].splitlines():
        zone, *words = line.split() or [""]
        if words[:2] != ["IN", "forward"] or not re.fullmatch(r"[!-~]*\.", zone):
            raise Unparseable(f"not a line of list_forwards: {line!r}")
        found[in_one_form(zone) or "."] = frozenset(
            ip_address(word.partition("@")[0].partition("#")[0]) for word in words[2:] if not word.startswith("+")
        )
    return found
