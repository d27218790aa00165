"""The topology as a pure model: read from topology.toml, validated, every refusal one sentence that names its key."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any

from lab.errors import LabError, nearest

HERE = Path(__file__).parent
MODES = ("systemd", "bare", "operator")
NAME = re.compile(r"[a-z][a-z0-9-]{0,11}")
REFERENCE = re.compile(r"@\{([^}]*)\}")
HOST_KEYS = ["mode", "links", "loopback", "routes", "sysctl", "resolver", "root_login"]
HOST_KEYS += ["services", "disks", "files", "binds"]
# What the base root brings along; the lab's own are the unit files under daemons/units/.
BASE_SERVICES = ("containerd", "docker", "named", "nftables", "systemd-resolved", "unbound")


class TopologyError(LabError):
    """topology.toml does not describe a site."""


@dataclass(frozen=True)
class Link:
    name: str
    segment: str
    addresses: tuple[IPv4Interface, ...]
    mtu: int


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

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        return tuple(a.ip for link in self.links for a in link.addresses) + tuple(a.ip for a in self.loopback)


@dataclass(frozen=True)
class Topology:
    segments: Mapping[str, IPv4Network]
    hosts: Mapping[str, Host]

    @property
    def systemd_hosts(self) -> tuple[Host, ...]:
        return tuple(h for h in self.hosts.values() if h.mode == "systemd")

    def fill(self, text: str, host: str, where: str) -> str:
        """Put values for `@{name}` (this host) and `@{HOST.LINK}` or `@{HOST.LINK.N}` (an address) in a template."""

        def value(match: re.Match[str]) -> str:
            word = match[1]
            if word == "name":
                return host
            parts = word.split(".")
            known = self.hosts.get(parts[0])
            if known is not None and len(parts) in (2, 3):
                links = {link.name: link.addresses for link in known.links} | {"lo": known.loopback}
                position = int(parts[2]) if len(parts) == 3 and parts[2].isdigit() else 0
                addresses = links.get(parts[1], ())
                if position < len(addresses):
                    return str(addresses[position].ip)
            raise TopologyError(f"{where}: @{{{word}}} names no address of the topology")

        return REFERENCE.sub(value, text)


def load(path: Path = HERE / "topology.toml") -> Topology:
    daemons = HERE / "daemons"
    templates = {str(p.relative_to(daemons)) for p in daemons.rglob("*") if p.is_file()}
    try:
        return parse(path.read_text(), templates)
    except TopologyError as error:
        raise TopologyError(f"{path.name}: {error}") from None


def fingerprint() -> str:
    """Of everything a host is made from here: a lab that runs is told from what the files say by now."""
    digest = hashlib.sha256((HERE / "topology.toml").read_bytes())
    for path in sorted((HERE / "daemons").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def parse(text: str, templates: Iterable[str]) -> Topology:
    """The validated topology; `templates` are the files that exist under daemons/."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TopologyError(f"not TOML: {error}") from None
    _known_keys(data, ("segments", "sysctl", "hosts"), "")
    segments = {name: _network(cidr, f"segments.{name}") for name, cidr in data.get("segments", {}).items()}
    known = set(templates)
    units = sorted(
        [*BASE_SERVICES, *(t.removeprefix("units/").removesuffix(".service") for t in known if t.startswith("units/"))]
    )
    shared = _sysctl(data.get("sysctl", {}), "sysctl")
    hosts = {name: _host(name, table, segments, shared, known, units) for name, table in data.get("hosts", {}).items()}
    if not hosts:
        raise TopologyError("hosts: there are none")
    _unique(hosts)
    return Topology(segments, hosts)


def _known_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            raise TopologyError(f"{where}{key}: unknown key{nearest(key, names)}")


def _network(value: object, where: str) -> IPv4Network:
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


def _sysctl(table: Mapping[str, Any], where: str) -> dict[str, str]:
    for key in table:
        if not key.startswith("net."):
            raise TopologyError(f"{where}.{key}: only net.* belongs to a host; the rest is the machine's")
    return {key: str(value) for key, value in table.items()}


def _host(
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
    _known_keys(table, HOST_KEYS, f"{where}.")
    mode = str(table.get("mode", ""))
    if mode not in MODES:
        raise TopologyError(f"{where}.mode: {mode or 'missing'}; it is one of {', '.join(MODES)}")
    links = tuple(_link(key, link, segments, f"{where}.links.{key}") for key, link in table.get("links", {}).items())
    if not links:
        raise TopologyError(f"{where}.links: a host without a link cannot be reached")
    networks = [a.network for link in links for a in link.addresses]
    routes = tuple(_route(k, v, networks, f"{where}.routes.{k}") for k, v in table.get("routes", {}).items())
    services = tuple(table.get("services", ()))
    for service in services:
        if service not in units:
            raise TopologyError(f"{where}.services: unknown service {service}{nearest(service, units)}")
    if services and mode != "systemd":
        raise TopologyError(f"{where}.services: only a systemd host runs services")
    files, binds = dict(table.get("files", {})), dict(table.get("binds", {}))
    for key, source in [*files.items(), *binds.items()]:
        if not PurePosixPath(key).is_absolute():
            raise TopologyError(f"{where}: {key} is not an absolute path")
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
        sysctl={**shared, **_sysctl(table.get("sysctl", {}), f"{where}.sysctl")},
        resolver=resolver,
        root_login=bool(table.get("root_login", False)),
        services=services,
        disks=tuple(table.get("disks", ())),
        files=files,
        binds=binds,
    )


def _link(name: str, table: Mapping[str, Any], segments: Mapping[str, IPv4Network], where: str) -> Link:
    _known_keys(table, ("segment", "addresses", "mtu"), f"{where}.")
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
    return Link(name, segment, addresses, mtu)


def _route(target: str, gateway: object, networks: list[IPv4Network], where: str) -> Route:
    network = IPv4Network("0.0.0.0/0") if target == "default" else _network(target, where)
    try:
        via = IPv4Address(str(gateway))
    except ValueError as error:
        raise TopologyError(f"{where}: {error}") from None
    if not any(via in own for own in networks):
        raise TopologyError(f"{where}: the gateway {via} is not on-link")
    return Route(network, via)


def _unique(hosts: Mapping[str, Host]) -> None:
    owner: dict[IPv4Address, str] = {}
    for host in hosts.values():
        for link in host.links:
            for address in link.addresses:
                _claim(owner, address.ip, f"hosts.{host.name}.links.{link.name}.addresses", host.name)
        for address in host.loopback:
            _claim(owner, address.ip, f"hosts.{host.name}.loopback", host.name)


def _claim(owner: dict[IPv4Address, str], address: IPv4Address, where: str, host: str) -> None:
    if address in owner:
        raise TopologyError(f"{where}: {address} is already {owner[address]}'s")
    owner[address] = host
