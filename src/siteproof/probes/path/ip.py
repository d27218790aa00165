"""ip (iproute2): links and routes."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from siteproof.asks import Ask, Host, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.common.sections import END, Sections, from_json, section, split, words

VERSION = {"ip": "ip -V", "ss": "ip -V"}


@dataclass(frozen=True, slots=True)
class NetworkLink:
    """An interface."""

    name: str
    mtu: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a network."""

    target: IPv4Network
    device: str


_ROUTE_KEYS = words("""
    type dst gateway via dev protocol scope prefsrc metric flags metrics nexthops nhid table expires error uid
""")


_ROUTES = f"""\
{section("local")}
ip -j -4 route show table local || exit
{section("routes")}
ip -j -4 route show || exit
{END}"""
_DEFAULT_LINK = f"""\
{section("routes")}
ip -j -4 route show default || exit
{section("links")}
ip -j link show || exit
{END}"""
_ADDRESSES = "ip -j -4 addr show scope global"


def routes(host: Host) -> Ask[tuple[Route, ...]]:
    """The IPv4 routes of `host` to networks, without the default route.

    The local table is the control: every host has a route to its loopback.
    """
    return command(
        host,
        _ROUTES,
        probe="ip -j route",
        parse=parse_routes,
        tools=("ip",),
    )


def parse_routes(output: Output) -> tuple[Route, ...]:
    """Raises Unparseable also where the local table lacks the loopback, since then ip lists no routes at all."""
    sections = split(output.text, "local", "routes")
    if "127.0.0.0/8" not in {route.get("dst") for route in _array(sections, "local")}:
        raise Unparseable("ip does not list the route to the loopback, which every host has")
    found = [route for route in _array(sections, "routes") if route["dst"] != "default"]
    return tuple(Route(IPv4Network(route["dst"]), _outlet(route)) for route in found)


def _outlet(route: dict[str, Any]) -> str:
    """The interface, or what else becomes of the packets: `blackhole`, `unreachable`, …"""
    outlet = ", ".join(hop["dev"] for hop in route["nexthops"]) if "nexthops" in route else route.get("dev")
    if not isinstance(outlet := outlet or route.get("type"), str):
        raise Unparseable(f"ip does not show where a route goes: {str(route)[:200]}")
    return outlet


def default_link(host: Host) -> Ask[NetworkLink]:
    """The interface that the IPv4 default route of `host` (main table) goes out of."""
    return command(
        host,
        _DEFAULT_LINK,
        probe="ip -j link of the default route",
        parse=parse_default_link,
        tools=("ip",),
    )


def parse_default_link(output: Output) -> NetworkLink:
    """Raises Unparseable also where there is no default route, since then there is no such link to speak of."""
    sections = split(output.text, "routes", "links")
    device = _device(_array(sections, "routes"))
    mtus = [link["mtu"] for link in _array(sections, "links") if link.get("ifname") == device]
    if len(mtus) != 1 or type(mtus[0]) is not int:
        raise Unparseable(f"ip does not show the MTU of {device}, where the default route goes")
    return NetworkLink(device, mtus[0])


def _device(routes: list[dict[str, Any]]) -> str:
    """Where the route goes that the kernel takes: the lowest metric of those that are not dead or for one TOS alone."""
    usable = [r for r in routes if "dead" not in r.get("flags", []) and "tos" not in r]
    if any(r.get("dst") != "default" for r in usable):
        raise Unparseable(f"ip shows other routes than the default one: {str(routes)[:200]}")
    if not usable:
        raise Unparseable("ip shows no default route")
    if len(usable) > 1 and (other := {key for r in usable for key in r} - _ROUTE_KEYS):
        raise Unparseable(f"ip says of its routes what nobody knows ({', '.join(sorted(other))}): which one is taken?")
    lowest = min(int(r.get("metric", 0)) for r in usable)
    routes = [r for r in usable if int(r.get("metric", 0)) == lowest]
    devices = {hop.get("dev") for r in routes for hop in r.get("nexthops", [r])}
    if any(r.get("type", "unicast") != "unicast" for r in routes) or len(devices) != 1 or None in devices:
        raise Unparseable(f"the default route does not go out of one interface: {str(routes)[:200]}")
    return str(devices.pop())


def _array(sections: Sections, name: str) -> list[dict[str, Any]]:
    """iproute2 prints nothing, not `[]`, for an empty list on some versions; here that is no answer."""
    found = from_json(sections[name], "ip -j")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Unparseable(f"ip -j printed no list of objects: {sections[name][:200]!r}")
    return found


def host_addresses(host: Host) -> Ask[frozenset[IPv4Address]]:
    """The IPv4 addresses that `host` has and that others may reach: not loopback's, not those on their way out."""
    return command(
        host,
        _ADDRESSES,
        probe="ip -j -4 addr",
        parse=parse_addresses,
        tools=("ip",),
    )


def parse_addresses(output: Output) -> frozenset[IPv4Address]:
    """Raises Unparseable where there is none: somebody was reached there."""
    links = _array(Sections(addresses=output.text), "addresses")
    found = [a for link in links for a in link["addr_info"] if not a.get("deprecated")]
    if not found:
        raise Unparseable("ip shows no address")
    return frozenset(IPv4Address(a["local"]) for a in found)
