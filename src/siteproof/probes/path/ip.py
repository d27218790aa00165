"""ip (iproute2): links and routes; and the kernel's own files, which say some of it without any tool."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from siteproof.asks import ADDRESS, SMALL, Ask, Host, Output, command
from siteproof.asks.dialects import TEXT
from siteproof.errors import Unparseable
from siteproof.probes.common.sections import END, Sections, from_json, section, split, words
from siteproof.probes.path import ip_text

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


@dataclass(frozen=True, slots=True)
class Way:
    """Where the kernel sends a packet."""

    link: NetworkLink
    table: str = ""
    """The routing table that decides, by name or number; empty if it is the main one."""


@dataclass(frozen=True, slots=True)
class Uplinks:
    """What of a router looks towards the internet."""

    devices: frozenset[str]
    """The interface that a packet to the internet leaves by, and those of every default route in any table."""
    addresses: Mapping[str, frozenset[IPv4Address]]
    """Interface -> the addresses that it has."""

    def outside(self, public: Collection[IPv4Address]) -> frozenset[str]:
        """The interfaces that packets from the internet may come in by, where the site's public addresses are these."""
        return self.devices | {name for name, own in self.addresses.items() if own & set(public)}


@dataclass(frozen=True, slots=True)
class KernelLinks:
    """What the kernel's own files say of links and the main table."""

    mtus: Mapping[str, int]
    """Interface -> bytes."""
    routes: tuple[tuple[IPv4Network, int, str], ...]
    """Target, metric, interface."""

    @property
    def networks(self) -> frozenset[IPv4Network]:
        """Those that a route leads to, without the default one's."""
        return frozenset(network for network, _, _ in self.routes if network.prefixlen)

    def agree(self, way: Way, target: IPv4Address) -> bool:
        """Whether they show what ip answered of the way to `target`. What another table decides they do not show."""
        if self.mtus.get(way.link.name) != way.link.mtu:
            return False
        fitting = [(-network.prefixlen, metric, name) for network, metric, name in self.routes if target in network]
        best = {name for *order, name in fitting if order == list(min(fitting)[:2])}
        return bool(way.table) or way.link.name in best


_ROUTE_KEYS = words("""
    type dst gateway via dev protocol scope prefsrc metric flags metrics nexthops nhid table expires error uid
""")


_KEYLESS_TYPE = re.compile(
    r'\{"(local|broadcast|anycast|multicast|unreachable|blackhole|prohibit|throw|nat|xresolve)",(?=")'
)
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
_LINK_TOWARDS = f"""\
{section("way")}
ip -j -4 route get "$target" || exit
{section("links")}
ip -j link show || exit
{END}"""
_UPLINKS = f"""\
{section("way")}
ip -j -4 route get "$target" || exit
{section("defaults")}
ip -j -4 route show table all default || exit
{section("addresses")}
ip -j -4 addr show || exit
{END}"""
# The shell itself reads them: no tool is asked that could answer from memory.
_KERNEL_LINKS = f"""\
read_all() {{ while read -r line; do printf '%s\n' "$line"; done <"$1"; }}
{section("mtus")}
for file in /sys/class/net/*/mtu; do
    name=${{file%/mtu}}
    if read -r mtu <"$file"; then printf '%s %s\n' "${{name##*/}}" "$mtu"; fi
done
{section("routes")}
read_all /proc/net/route || exit
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
    found = [route for route in _array(sections, "routes") if route["dst"] not in ("default", "0.0.0.0/0")]
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
    return _link(sections, _device(_array(sections, "routes")), "the default route goes")


def _link(sections: Sections, device: str, comes: str) -> NetworkLink:
    """The one of the section `links` that is called so. `comes` says what goes there."""
    mtus = [link["mtu"] for link in _array(sections, "links") if link.get("ifname") == device]
    if len(mtus) != 1 or type(mtus[0]) is not int:
        raise Unparseable(f"ip does not show the MTU of {device}, where {comes}")
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


def link_towards(host: Host, target: IPv4Address) -> Ask[Way]:
    """By which interface a packet from `host` to `target` leaves, as the kernel decides now: rules, tables, VPNs."""
    return command(
        host,
        _LINK_TOWARDS,
        given={"target": ADDRESS(target)},
        probe=f"ip -j route get {target}",
        parse=lambda output: parse_link_towards(output, target),
        tools=("ip",),
    )


def parse_link_towards(output: Output, target: IPv4Address) -> Way:
    """Raises Unparseable also where `target` is the host's own address."""
    sections = split(output.text, "way", "links")
    device, table = _way(sections, target)
    return Way(_link(sections, device, f"packets to {target} go"), table)


def _way(sections: Sections, target: IPv4Address) -> tuple[str, str]:
    """The interface and the table of the answer to `ip route get`."""
    found = _array(sections, "way")
    if len(found) != 1 or found[0].get("dst") != str(target) or not isinstance(found[0].get("dev"), str):
        raise Unparseable(f"ip does not show the way to {target}: {str(found)[:200]}")
    if found[0].get("type", "unicast") != "unicast" or found[0]["dev"] == "lo":
        raise Unparseable(f"packets to {target} go nowhere that a link leads to: {str(found[0])[:200]}")
    table = found[0].get("table", "main")
    if not isinstance(table, str | int):
        raise Unparseable(f"ip names no table: {str(found[0])[:200]}")
    return found[0]["dev"], "" if str(table) in ("main", "254") else str(table)


def uplinks(router: Host, target: IPv4Address) -> Ask[Uplinks]:
    """Which interfaces of `router` look towards the internet, where `target` is."""
    return command(
        router,
        _UPLINKS,
        given={"target": ADDRESS(target)},
        probe=f"ip -j uplinks, for {target}",
        parse=lambda output: parse_uplinks(output, target),
        tools=("ip",),
    )


def parse_uplinks(output: Output, target: IPv4Address) -> Uplinks:
    sections = split(output.text, "way", "defaults", "addresses")
    devices = {_way(sections, target)[0]}
    for route in _array(sections, "defaults"):
        if route.get("dst") != "default":
            raise Unparseable(f"ip shows other routes than the default ones: {str(route)[:200]}")
        if route.get("type", "unicast") == "unicast":
            devices |= {_text(hop["dev"]) for hop in route.get("nexthops", [route])}
    links = _array(sections, "addresses")
    own = {_text(link["ifname"]): [IPv4Address(a["local"]) for a in link["addr_info"] if a] for link in links}
    if not own.get("lo"):
        raise Unparseable("ip does not show the loopback's address, which every host has")
    return Uplinks(frozenset(devices), {name: frozenset(found) for name, found in sorted(own.items()) if found})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unparseable(f"ip names an interface {value!r}")
    return value


def kernel_links(host: Host) -> Ask[KernelLinks]:
    """The MTU of every interface, and the main table's IPv4 routes: a witness for what `ip` answers."""
    return command(
        host,
        _KERNEL_LINKS,
        probe="/sys/class/net, /proc/net/route",
        parse=parse_kernel_links,
        at_most=SMALL,
        tools=(),
    )


def parse_kernel_links(output: Output) -> KernelLinks:
    """Raises Unparseable where the loopback is missing, which every host has."""
    sections = split(output.text, "mtus", "routes")
    mtus = {}
    for line in sections["mtus"].splitlines():
        if not (link := re.fullmatch(r"([!-~]{1,15}) ([0-9]{1,10})", line)):
            raise Unparseable(f"no interface with its MTU: {line[:200]!r}")
        mtus[link[1]] = int(link[2])
    if "lo" not in mtus:
        raise Unparseable("/sys/class/net does not show the loopback, which every host has")
    head, *lines = sections["routes"].splitlines()
    if head.split()[:8] != ["Iface", "Destination", "Gateway", "Flags", "RefCnt", "Use", "Metric", "Mask"]:
        raise Unparseable(f"not the table of /proc/net/route: {head[:200]!r}")
    return KernelLinks(mtus, _main_table([line.split() for line in lines]))


def _main_table(lines: list[list[str]]) -> tuple[tuple[IPv4Network, int, str], ...]:
    """The lines of /proc/net/route, whose addresses are hexadecimal in the byte order of the host."""
    for order in ("<", ">"):
        try:
            return tuple((_network(order, line[1], line[7]), int(line[6]), line[0]) for line in lines)
        except ValueError:
            continue
    raise Unparseable(f"no routes: {str(lines)[:200]}")


def _network(order: str, target: str, mask: str) -> IPv4Network:
    """Raises ValueError where these are no network in this byte order."""
    address, bits = struct.unpack(f"{order}II", bytes.fromhex(target + mask))
    prefix = bits.bit_count()
    if bits != (1 << 32) - (1 << 32 - prefix):
        raise ValueError(f"no mask: {mask}")
    return IPv4Network((address, prefix))


def _array(sections: Sections, name: str) -> list[dict[str, Any]]:
    """iproute2 prints nothing, not `[]`, for an empty list on some versions; here that is no answer.

    An empty object stands where a filter left something out, and is nothing. Before 5.1 a route's type has no key.
    """
    if sections[name].lstrip().startswith(TEXT):
        return ip_text.links_in(sections[name]) if name in ("links", "addresses") else ip_text.routes_in(sections[name])
    found = from_json(_KEYLESS_TYPE.sub(r'{"type":"\1",', sections[name]), "ip -j")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Unparseable(f"ip -j printed no list of objects: {sections[name][:200]!r}")
    return [item for item in found if item]


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
    # Where the filter leaves out some of an interface's addresses, iproute2 prints `{}` for each of them.
    found = [a for link in links for a in link["addr_info"] if a and not a.get("deprecated")]
    if not found:
        raise Unparseable("ip shows no address")
    return frozenset(IPv4Address(a["local"]) for a in found)
