"""One host of a site's topology: what its table says, validated, every refusal one sentence that names its key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import PurePosixPath
from typing import Any

from lab.errors import LabError, nearest

MODES = ("systemd", "bare", "operator")
NAME = re.compile(r"[a-z][a-z0-9-]{0,11}")
HOST_KEYS = ["mode", "links", "loopback", "routes", "sysctl", "resolver", "root_login"]
HOST_KEYS += ["services", "disks", "files", "binds", "base", "shell", "symlinks", "read_only_sys"]
# What the bases bring along; the lab's own are the unit files under daemons/units/.
BASE_SERVICES = (
    "containerd", "dnsmasq", "docker", "haproxy", "named", "NetworkManager", "nftables", "nsd", "ssh",
    "systemd-networkd", "systemd-resolved", "unbound",
)  # fmt: skip
ALWAYS = ("ssh",)
"""Of these, what a host runs unless it names another server of its kind."""
INSTEAD = {"dropbear": "ssh"}


class TopologyError(LabError):
    """topology.toml does not describe a site."""


@dataclass(frozen=True)
class Link:
    name: str
    segment: str
    addresses: tuple[IPv4Interface, ...]
    mtu: int
    by_host: bool = False
    """The host gives it its addresses, MTU and routes itself, by what its files say."""


@dataclass(frozen=True)
class Route:
    target: IPv4Network
    gateway: IPv4Address


@dataclass(frozen=True)
class Host:
    name: str
    mode: str
    links: tuple[Link, ...]
    loopback: tuple[IPv4Interface, ...] = ()
    routes: tuple[Route, ...] = ()
    sysctl: Mapping[str, str] = field(default_factory=dict)
    resolver: str = ""
    root_login: bool = False
    services: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    binds: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    """The release that it is an installation of; the machine's own where none is named."""
    login_shell: str = ""
    """The login user's, where it is not the base's."""
    symlinks: Mapping[str, str] = field(default_factory=dict)
    read_only_sys: bool = False
    """As containers have /sys: what configures links then does not wait for a udev that no host here has."""

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        return tuple(a.ip for link in self.links for a in link.addresses) + tuple(a.ip for a in self.loopback)


def known_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            raise TopologyError(f"{where}{key}: unknown key{nearest(key, names)}")


def network_of(value: object, where: str) -> IPv4Network:
    try:
        return IPv4Network(str(value))
    except ValueError as error:
        raise TopologyError(f"{where}: {error}") from None


def _interface(value: object, where: str) -> IPv4Interface:
    if "/" not in str(value):
        raise TopologyError(f"{where}: {value} has no prefix length")
    try:
        return IPv4Interface(str(value))
    except ValueError as error:
        raise TopologyError(f"{where}: {error}") from None


def sysctl_of(table: Mapping[str, Any], where: str) -> dict[str, str]:
    for key in table:
        if not key.startswith("net."):
            raise TopologyError(f"{where}.{key}: only net.* belongs to a host; the rest is the machine's")
    return {key: str(value) for key, value in table.items()}


def host_of(
    name: str,
    table: Mapping[str, Any],
    segments: Mapping[str, IPv4Network],
    shared: Mapping[str, str],
    templates: set[str],
    units: list[str],
) -> Host:
    where = f"hosts.{name}"
    if not NAME.fullmatch(name):
        raise TopologyError(f"{where}: a host's name is a short lower-case word")
    known_keys(table, HOST_KEYS, f"{where}.")
    mode = str(table.get("mode", ""))
    if mode not in MODES:
        raise TopologyError(f"{where}.mode: {mode or 'missing'}; it is one of {', '.join(MODES)}")
    links = tuple(_link(key, link, segments, f"{where}.links.{key}") for key, link in table.get("links", {}).items())
    if not links:
        raise TopologyError(f"{where}.links: a host without a link cannot be reached")
    networks = [a.network for link in links for a in link.addresses]
    routes = tuple(_route(k, v, networks, f"{where}.routes.{k}") for k, v in table.get("routes", {}).items())
    services = tuple(table.get("services", ()))
    if mode == "systemd":
        services += tuple(one for one in ALWAYS if one not in {INSTEAD.get(service) for service in services})
    for service in services:
        if service not in units:
            raise TopologyError(f"{where}.services: unknown service {service}{nearest(service, units)}")
    if table.get("services") and mode != "systemd":
        raise TopologyError(f"{where}.services: only a systemd host runs services")
    files, binds = dict(table.get("files", {})), dict(table.get("binds", {}))
    symlinks = table.get("symlinks", {})
    for key in [*files, *binds, *symlinks]:
        if not PurePosixPath(key).is_absolute():
            raise TopologyError(f"{where}: {key} is not an absolute path")
    for key, source in [*files.items(), *binds.items()]:
        if not source.startswith(("assets/", "bin/")) and (source not in templates or key in binds):
            raise TopologyError(f"{where}: {key} comes from {source}, which is not there")
    for disk in table.get("disks", ()):
        if not PurePosixPath(disk).is_absolute():
            raise TopologyError(f"{where}.disks: {disk} is not an absolute path")
    resolver = str(table.get("resolver", ""))
    if resolver == "resolved" and "systemd-resolved" not in services:
        raise TopologyError(f"{where}.resolver: resolved, but systemd-resolved is not among the services")
    return Host(
        name=name,
        mode=mode,
        links=links,
        loopback=tuple(_interface(a, f"{where}.loopback") for a in table.get("loopback", ())),
        routes=routes,
        sysctl={**shared, **sysctl_of(table.get("sysctl", {}), f"{where}.sysctl")},
        resolver=resolver,
        root_login=bool(table.get("root_login", False)),
        services=services,
        disks=tuple(table.get("disks", ())),
        files=files,
        binds=binds,
        base=str(table.get("base", "")),
        login_shell=str(table.get("shell", "")),
        symlinks=dict(table.get("symlinks", {})),
        read_only_sys=bool(table.get("read_only_sys", False)),
    )


def _link(name: str, table: Mapping[str, Any], segments: Mapping[str, IPv4Network], where: str) -> Link:
    known_keys(table, ("segment", "addresses", "mtu", "by_host"), f"{where}.")
    if not NAME.fullmatch(name) or name == "lo":
        raise TopologyError(f"{where}: {name} cannot be the name of a link")
    segment = str(table.get("segment", ""))
    if segment not in segments:
        raise TopologyError(f"{where}.segment: unknown segment {segment or '(none)'}{nearest(segment, list(segments))}")
    addresses = tuple(_interface(a, f"{where}.addresses") for a in table.get("addresses", ()))
    for address in addresses:
        if address.network != segments[segment]:
            raise TopologyError(f"{where}.addresses: {address} is not in {segment} ({segments[segment]})")
    mtu = table.get("mtu", 1500)
    if not isinstance(mtu, int) or not 576 <= mtu <= 9000:
        raise TopologyError(f"{where}.mtu: {mtu} is not an MTU between 576 and 9000")
    return Link(name, segment, addresses, mtu, bool(table.get("by_host", False)))


def _route(target: str, gateway: object, networks: list[IPv4Network], where: str) -> Route:
    network = IPv4Network("0.0.0.0/0") if target == "default" else network_of(target, where)
    try:
        via = IPv4Address(str(gateway))
    except ValueError as error:
        raise TopologyError(f"{where}: {error}") from None
    if not any(via in own for own in networks):
        raise TopologyError(f"{where}: the gateway {via} is not on-link")
    return Route(network, via)
